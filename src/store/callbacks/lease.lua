--[[
  Put before the scripts that need it: a built-in worker's hold on a job, which outlives the job where somebody takes that
  out of the queue. By Redis's clock alone: no worker's clock makes a lease last. Should Redis's clock be set back, what
  then lies further ahead than any lease reaches is none.
]]
local leaseMs = 10000 -- outlives a report that is late

local function redisNow()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function takeLease(inHand, jobIds)
  local endsAt = redisNow() + leaseMs
  for _, jobId in ipairs(jobIds) do redis.call('ZADD', inHand, endsAt, jobId) end
end

local function isLeased(inHand, jobId)
  local endsAt = redis.call('ZSCORE', inHand, jobId)
  local left = endsAt and endsAt - redisNow()
  return left and left >= 0 and left <= leaseMs
end

local function dropEnded(inHand)
  local now = redisNow()
  redis.call('ZREMRANGEBYSCORE', inHand, '-inf', '(' .. now)
  redis.call('ZREMRANGEBYSCORE', inHand, '(' .. now + leaseMs, '+inf')
end
