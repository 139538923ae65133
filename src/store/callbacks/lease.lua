--[[
  Prepended to the scripts that need it: a built-in worker's lease on a job, which survives if the job is removed from the queue.
  Only Redis's clock counts, so no worker's clock can prolong a lease. A lease that ends later than any lease could was written
  before Redis's clock was set back, and is ignored.
]]
local leaseMs = 10000 -- outlives a late report

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
