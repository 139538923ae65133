--[[
  Writes the gateway's answer about some callbacks to where they are: in the queue, or held beside it.

  KEYS[1] unconfirmed  [2] denied  [3] held  [4] wait  [5] delayed  [6] active  [7] meta  [8] events  [9] marker
  ARGV[1] base ("prefix:queue")  [2] now, ms
  [3] 'yes'; 'no', which holds what workers have not seen yet; 'otherwise', which is 'no' for those and 'open' for the rest;
      'open': it cannot be decided, and nothing waits for it any longer
  [4] why a callback is held, if it is
  then per callback: its member in the set of unconfirmed ones, and its job id
  Returns for each 'yes', 'no' or 'open' if that was new; 'held' or 'released' if the job was moved; else ''.
]]
local base, now, answer, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function requeueFrom(set, job, jobId, previous)
  redis.call('ZREM', set, jobId)
  requeue({ job = job, wait = KEYS[4], meta = KEYS[7], active = KEYS[6], events = KEYS[8], marker = KEYS[9] }, jobId, previous)
end

-- Once a worker has taken a job, what it waits for is its next attempt. A worker that holds it may still return it undelivered
-- (heed-given-back.lua); `heldIfGivenBack` keeps the reason for that case.
local function isAwaiting(job, jobId)
  return redis.call('ZSCORE', KEYS[5], jobId) and not redis.call('HGET', job, 'ats')
end

local function hold(job, jobId)
  redis.call('HSET', job, 'confirmed', 'denied')
  redis.call('ZADD', KEYS[2], now, jobId)
  if not isAwaiting(job, jobId) then
    redis.call('HSET', job, 'heldIfGivenBack', reason)
    return 'no'
  end
  redis.call('ZREM', KEYS[5], jobId)
  redis.call('HSET', job, 'held', reason)
  redis.call('ZADD', KEYS[3], now, jobId)
  return 'held'
end

local function settle(member, jobId)
  local job, answer = base .. ':' .. jobId, answer
  local isNews = redis.call('ZREM', KEYS[1], member) == 1
  if answer == 'yes' then isNews = redis.call('ZREM', KEYS[2], jobId) == 1 or isNews end
  if redis.call('EXISTS', job) == 0 then
    if answer == 'otherwise' then answer = 'open' end
    if isNews and answer == 'no' then redis.call('ZADD', KEYS[2], now, jobId) end
    return isNews and answer or ''
  end
  if answer == 'yes' then
    local held = redis.call('ZSCORE', KEYS[3], jobId) and redis.call('HGET', job, 'held')
    if held and held ~= 'amount' then
      redis.call('HSET', job, 'confirmed', 'yes')
      redis.call('HDEL', job, 'held')
      requeueFrom(KEYS[3], job, jobId, 'held')
      return 'released'
    end
  end
  if not isNews then return '' end
  if answer == 'otherwise' then
    answer = isAwaiting(job, jobId) and 'no' or 'open'
    if answer == 'open' then redis.call('HSET', job, 'heldIfGivenBack', reason) end
  end
  if answer == 'no' then return hold(job, jobId) end
  if answer == 'yes' and redis.call('HGET', job, 'confirmed') == 'yes' then return '' end -- asked again, since no list contained it
  redis.call('HSET', job, 'confirmed', answer)
  if isAwaiting(job, jobId) then requeueFrom(KEYS[5], job, jobId, 'delayed') end
  return answer
end

local outcomes = {}
for at = 5, #ARGV, 2 do outcomes[#outcomes + 1] = settle(ARGV[at], ARGV[at + 1]) end
return outcomes
