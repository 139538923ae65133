--[[
  The merchant's breaker, one per brand, in Redis, so that it holds for all workers together and over restarts.

  It holds deliveries back by BullMQ's own global rate limit (`max` and `duration` of the queue's meta, counted in the
  limiter key whenever a job is taken): no job is fetched only to be put back, and no attempt is used up.

    closed   no limit. Failures of several different jobs, without a success between them, open it.
    open     one job may be taken (the probe), and no other until its outcome is known: the limiter key holds the queue
             for `wait` ms; the probe's own count then holds it for the probe window. A failed probe doubles the wait.
    ramp     the probe succeeded: 2 jobs in the first second, 4 in the next, and so on up to the concurrency.

  Danger: a queue left with max = 1 crawls. Whoever may leave it so (another kind of worker takes over) must clear it
  (queue/forwarding.ts clearBreaker).

  KEYS[1] breaker  [2] failures  [3] meta  [4] limiter
  ARGV[1] 'observe', 'failure' or 'success'  [2] concurrency  [3] failures that open  [4] first wait, ms
       [5] longest wait, ms  [6] probe window, ms  [7] failures are remembered for, ms
       [8] job id  [9] ms since it was taken
  Returns { phase, failures, verdict }: for a failure `counted`, `straggler` or `probe`, else ''.
]]
local breaker, failures, meta, limiter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation, concurrency = ARGV[1], tonumber(ARGV[2])
local stepMs = 1000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', breaker, 'phase', 'heldAt', 'waitMs', 'max', 'nextAt')
local phase, heldAt, waitMs = state[1] or 'closed', tonumber(state[2] or 0), tonumber(state[3] or 0)
local verdict = ''

local function limit(max, durationMs)
  redis.call('HSET', meta, 'max', max, 'duration', durationMs)
end

local function hold(forMs)
  phase = 'open'
  limit(1, ARGV[6])
  redis.call('SET', limiter, 1, 'PX', forMs)
  redis.call('HSET', breaker, 'phase', phase, 'heldAt', now, 'waitMs', forMs)
  redis.call('DEL', failures)
end

local function flow(max)
  redis.call('DEL', limiter)
  if max < concurrency then
    phase = 'ramp'
    limit(max, stepMs * 3) -- the next step begins its count anew; longer, in case it is late
    redis.call('HSET', breaker, 'phase', phase, 'max', max, 'nextAt', now + stepMs)
  else
    phase = 'closed'
    redis.call('HDEL', meta, 'max', 'duration')
    redis.call('DEL', breaker)
  end
end

-- What began before the queue was last held says nothing about the merchant since. No probe can have begun in the first
-- half of the wait, which leaves room for an outcome that is late in getting here.
local function isStraggler()
  return now - tonumber(ARGV[9]) < heldAt + waitMs / 2
end

if operation == 'failure' then
  if phase == 'open' then
    verdict = isStraggler() and 'straggler' or 'probe'
    if verdict == 'probe' then hold(math.min(waitMs * 2, tonumber(ARGV[5]))) end
  else
    verdict = 'counted'
    redis.call('SADD', failures, ARGV[8])
    redis.call('PEXPIRE', failures, ARGV[7])
    if redis.call('SCARD', failures) >= tonumber(ARGV[3]) then
      verdict = 'straggler'
      if phase == 'closed' then redis.call('HSET', breaker, 'openedAt', now) end
      hold(phase == 'ramp' and waitMs or tonumber(ARGV[4]))
    end
  end
elseif operation == 'success' then
  redis.call('DEL', failures)
  if phase == 'open' and not isStraggler() then flow(2) end
elseif phase == 'ramp' and now >= tonumber(state[5]) then
  flow(tonumber(state[4]) * 2)
end
return { phase, redis.call('SCARD', failures), verdict }
