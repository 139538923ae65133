--[[
  The merchant's breaker, one per brand, in Redis, so that all workers share it and it survives restarts.

  It holds deliveries back by BullMQ's own global rate limit (`max` and `duration` of the queue's meta, counted in the
  limiter key whenever a job is taken): no job is fetched only to be put back, and no attempt is spent.

    closed   no limit of ours. Failures of several different jobs, without a success between them, open it.
    open     one job may be taken (the probe), and no other until its outcome is known: the limiter key holds the queue
             for `wait` ms; the probe's own count then holds it for the probe window. A failed probe doubles the wait.
    ramp     the probe succeeded: 2 jobs in the first second, 4 in the next, and so on up to the concurrency.

  Callbacks that fail must not hold up good ones of the same destination. So while it is open:
    - Failed jobs rest, and come back in turn, for one probe at a time. Untried jobs go first: the latest and the longest
      waiting alternate, so that a few that always hang do not block a good one behind them.
    - A merchant that answers is up, though failing: the wait does not grow, and each round of untried jobs doubles.
    - After a success the resting jobs come back at once. Their failures are then their own: counted, and no sign of an outage.

  Whose limit: the operator's own limit is saved, caps ours meanwhile, and is restored.
  Which clock: Redis's. A time or an expiry too far ahead (the clock was set back) is cut when it is read.

  Danger: a queue left with max = 1 crawls. Code that may leave it so (when another kind of worker takes over) must clear it
  (store/lifecycle/forwarding.ts clearBreaker).

  KEYS[1] breaker  [2] failures  [3] meta  [4] limiter  [5] resting  [6] own failures  [7] delayed  [8] marker
  ARGV[1] 'observe', 'failure' or 'success'  [2] concurrency  [3] failures that open  [4] first wait, ms
       [5] longest wait, ms  [6] probe window, ms  [7] failures are remembered for, ms
       [8] job id  [9] ms since it was taken  [10] '1' if the merchant answered
  Returns { phase, failures, verdict, rest, resting }: for a failure `counted`, or `straggler` or `probe` and for how many
  ms the job rests.
]]
local breaker, failures, meta, limiter, resting, own = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local delayed, marker, wait = KEYS[7], KEYS[8], KEYS[9]
local operation, concurrency, opening = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local firstWaitMs, longestWaitMs, windowMs = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local stepMs, promotedMax, scoreFactor = 1000, 200, 0x1000
local offerMs, offeredOf = 300, 50 -- processes check every 100 ms
local manualLimit = 9e15 -- what BullMQ's queue.rateLimit() writes into the limiter key

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function stored(field) return redis.call('HGET', breaker, field) end
local phase = stored('phase') or 'closed'
local heldAt, waitMs = tonumber(stored('heldAt') or 0), tonumber(stored('waitMs') or firstWaitMs)
if heldAt > now then -- the clock was set back: until then every outcome would count as a straggler's
  heldAt = now
  redis.call('HSET', breaker, 'heldAt', now)
end
local round = tonumber(stored('round') or 1)
local verdict, restMs = '', 0

-- The operator's limit: a limit in the meta that was not written here.
local found = redis.call('HMGET', meta, 'max', 'duration')
local wrote = redis.call('HMGET', breaker, 'setMax', 'setDuration') -- absent if an earlier version opened it
local ours = phase ~= 'closed' and (not wrote[1] or (found[1] == wrote[1] and found[2] == wrote[2]))
local theirMax = ours and stored('theirMax') or (not ours and found[1])
local theirDuration = ours and stored('theirDuration') or (not ours and found[2])
local hasTheirs = theirMax and theirDuration and tonumber(theirMax) and tonumber(theirDuration) and true or false
if not ours and phase ~= 'closed' then redis.call('HDEL', breaker, 'theirMax', 'theirDuration') end

local function limit(max, durationMs)
  if hasTheirs then redis.call('HSET', breaker, 'theirMax', theirMax, 'theirDuration', theirDuration) end
  redis.call('HSET', meta, 'max', max, 'duration', durationMs)
  redis.call('HSET', breaker, 'setMax', max, 'setDuration', durationMs)
end

local function isManual()
  return (tonumber(redis.call('GET', limiter) or 0) or 0) >= manualLimit
end

local function holdFor(count, forMs)
  if isManual() and redis.call('PTTL', limiter) > forMs then return end
  redis.call('SET', limiter, count, 'PX', math.ceil(forMs))
end

local function hold(forMs, size)
  phase, waitMs, round = 'open', forMs, size
  if hasTheirs then
    waitMs = math.max(waitMs, theirDuration / theirMax)
    round = math.max(math.min(round, tonumber(theirMax)), 1)
  end
  local nextTurn = (stored('turn') or 'longest') == 'longest' and 'latest' or 'longest'
  redis.call('HSET', breaker, 'phase', phase, 'heldAt', now, 'waitMs', waitMs, 'round', round, 'turn', nextTurn)
  limit(round, ARGV[6])
  holdFor(round, waitMs)
end

local function close()
  phase = 'closed'
  if not isManual() then redis.call('DEL', limiter) end
  if hasTheirs then
    redis.call('HSET', meta, 'max', theirMax, 'duration', theirDuration)
    holdFor(1, tonumber(theirDuration)) -- the probe counts toward the operator's limit
  else
    redis.call('HDEL', meta, 'max', 'duration')
  end
  redis.call('DEL', breaker)
end

local function flow(max)
  if max >= concurrency or (hasTheirs and max / stepMs >= theirMax / theirDuration) then return close() end
  phase = 'ramp'
  if not isManual() then redis.call('DEL', limiter) end
  redis.call('HSET', breaker, 'phase', phase, 'max', max, 'nextAt', now + stepMs)
  limit(max, stepMs * 3) -- the next step restarts the count; longer in case it is late
end

-- An attempt that began before the queue was last held says nothing about the merchant since. No probe can begin in the first
-- half of the wait, which leaves room for outcomes that arrive late.
local function isStraggler()
  return now - tonumber(ARGV[9]) < heldAt + waitMs / 2
end

-- Resting jobs come back one after another, so that there is hardly ever more than one ahead of an untried job.
local function rest()
  local spacingMs = tonumber(stored('turnMs') or firstWaitMs)
  local turnAt = math.max(tonumber(stored('turnAt') or 0), now)
  if turnAt > now + (redis.call('SCARD', failures) + 1) * longestWaitMs then turnAt = now end
  turnAt = turnAt + spacingMs
  redis.call('HSET', breaker, 'turnAt', turnAt)
  redis.call('SADD', resting, ARGV[8])
  restMs = turnAt - now
end

local function failedProbe(isUntried, hasAnswered)
  if isUntried and hasAnswered then return hold(waitMs, math.min(round * 2, concurrency)) end
  redis.call('HSET', breaker, 'turnMs', math.min((stored('turnMs') or firstWaitMs) * 2, longestWaitMs))
  if hasAnswered then return hold(waitMs, round) end
  hold(math.min(waitMs * 2, longestWaitMs), 1)
end

local function failed()
  local isOwn = redis.call('SISMEMBER', own, ARGV[8]) == 1
  redis.call('SREM', resting, ARGV[8])
  if phase ~= 'open' and isOwn then
    verdict = 'counted'
    return
  end
  local isUntried = redis.call('SADD', failures, ARGV[8]) == 1 and not isOwn
  redis.call('PEXPIRE', failures, ARGV[7])
  if phase == 'open' then
    verdict = isStraggler() and 'straggler' or 'probe'
    if verdict == 'probe' then failedProbe(isUntried, ARGV[10] == '1') end
    return rest()
  end
  verdict = 'counted'
  if redis.call('SCARD', failures) < opening then return end
  verdict = 'straggler'
  if phase == 'closed' then redis.call('HSET', breaker, 'openedAt', now) end
  hold(phase == 'ramp' and waitMs or firstWaitMs, 1)
  rest()
end

local function succeeded()
  if redis.call('EXISTS', failures) == 1 then
    redis.call('SUNIONSTORE', own, own, failures)
    redis.call('PEXPIRE', own, ARGV[7])
    redis.call('DEL', failures)
  end
  if phase == 'open' and not isStraggler() then flow(2) end
end

-- In its turn, and at the last moment, moves the latest untried job to the front.
local function offerLatest()
  local leftMs = redis.call('PTTL', limiter)
  if stored('turn') ~= 'latest' or leftMs < 0 or leftMs > offerMs then return end
  for _, id in ipairs(redis.call('LRANGE', wait, 0, offeredOf - 1)) do
    local isTried = redis.call('SISMEMBER', failures, id) == 1 or redis.call('SISMEMBER', own, id) == 1
    if not isTried and not string.find(id, '^0:') then
      redis.call('LREM', wait, 1, id)
      redis.call('RPUSH', wait, id)
      return redis.call('HSET', breaker, 'turn', 'offered')
    end
  end
end

-- Brings resting jobs back, a few at a time.
local function promote()
  local jobs = redis.call('SPOP', resting, promotedMax)
  for _, id in ipairs(jobs) do redis.call('ZADD', delayed, 'XX', now * scoreFactor, id) end
  if #jobs > 0 then redis.call('ZADD', marker, now, '1') end
end

-- An expiry is a moment by Redis's clock: if that was set back, the moment is too far away.
local function cutExpiry()
  if isManual() then return end
  local most = phase == 'open' and math.max(waitMs, windowMs) or phase == 'ramp' and stepMs * 3
  if not most and hasTheirs then most = tonumber(theirDuration) end
  if most and redis.call('PTTL', limiter) > most then redis.call('PEXPIRE', limiter, math.ceil(most)) end
end

cutExpiry()
if phase ~= 'closed' and not ours then
  if phase == 'open' then limit(round, ARGV[6]) else flow(tonumber(stored('max'))) end
end
if operation == 'failure' then
  failed()
elseif operation == 'success' then
  succeeded()
elseif phase == 'ramp' then
  local nextAt = tonumber(stored('nextAt'))
  if now >= nextAt or nextAt > now + stepMs then flow(tonumber(stored('max')) * 2) end
end
if phase == 'open' then offerLatest() else promote() end
return { phase, redis.call('SCARD', failures), verdict, math.ceil(restMs), redis.call('SCARD', resting) }
