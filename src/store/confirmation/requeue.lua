--[[
  Prepended to scripts that put a job back into the queue in one step, as BullMQ's reprocessJob and promote do.
]]
local function requeue(keys, jobId, previous)
  redis.call('HSET', keys.job, 'delay', 0)
  redis.call('LPUSH', keys.wait, jobId)
  redis.call('XADD', keys.events, '*', 'event', 'waiting', 'jobId', jobId, 'prev', previous)
  local attributes = redis.call('HMGET', keys.meta, 'paused', 'concurrency')
  local isPaused = attributes[1] or (attributes[2] and redis.call('LLEN', keys.active) >= tonumber(attributes[2]))
  if not isPaused then redis.call('ZADD', keys.marker, 0, '0') end
end

