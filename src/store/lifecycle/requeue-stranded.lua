--[[
  Puts jobs back that are in none of BullMQ's places (requeue.lua, which stands before this): held and ended ones into their
  sets, any other into the queue. Checks each again, since it may have moved since it was found.

  KEYS[1] wait  [2] active  [3] delayed  [4] prioritized  [5] completed  [6] failed  [7] held  [8] meta  [9] events  [10] marker
  [11] moving
  ARGV[1] base ("prefix:queue")  [2...] job ids
  Returns how many were put back.
]]
local wait, active, completed, failed = KEYS[1], KEYS[2], KEYS[5], KEYS[6]

local function isInSomeList(id)
  for set = 3, 7 do
    if redis.call('ZSCORE', KEYS[set], id) then return true end
  end
  if redis.call('HEXISTS', KEYS[11], id) == 1 then return true end -- `brand move` has it
  return redis.call('LPOS', active, id) or redis.call('LPOS', wait, id)
end

local count = 0
for at = 2, #ARGV do
  local id = ARGV[at]
  local job = ARGV[1] .. ':' .. id
  if redis.call('HEXISTS', job, 'data') == 1 and redis.call('EXISTS', job .. ':lock') == 0 and not isInSomeList(id) then
    local finishedOn, failedReason, held, receivedAt = unpack(redis.call('HMGET', job, 'finishedOn', 'failedReason', 'held', 'timestamp'))
    if held then
      redis.call('ZADD', KEYS[7], receivedAt, id)
    elseif tonumber(finishedOn) then
      redis.call('ZADD', failedReason and failed or completed, finishedOn, id)
    else
      requeue({ job = job, wait = wait, meta = KEYS[8], active = active, events = KEYS[9], marker = KEYS[10] }, id, 'stranded')
    end
    count = count + 1
  end
end
return count
