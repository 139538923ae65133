--[[
  A worker returned a callback undelivered to wait for its confirmation: applies the gateway's answer that came meanwhile.
  requeue.lua stands before this.

  KEYS[1] job  [2] delayed  [3] denied  [4] held  [5] wait  [6] meta  [7] active  [8] events  [9] marker
  ARGV[1] job id  [2] now, ms
  Returns 'held' or 'requeued'; '' if there was no answer, or if the job is elsewhere by now.
]]
local job, jobId, now = KEYS[1], ARGV[1], ARGV[2]

local confirmed, reason, started = unpack(redis.call('HMGET', job, 'confirmed', 'heldIfGivenBack', 'ats'))
if not confirmed or started or redis.call('ZREM', KEYS[2], jobId) == 0 then return '' end
if not reason then
  requeue({ job = job, wait = KEYS[5], meta = KEYS[6], active = KEYS[7], events = KEYS[8], marker = KEYS[9] }, jobId, 'delayed')
  return 'requeued'
end
redis.call('HSET', job, 'confirmed', 'denied', 'held', reason)
redis.call('ZADD', KEYS[3], now, jobId)
redis.call('ZADD', KEYS[4], now, jobId)
return 'held'
