--[[
  Erases the personal data of some jobs of one reference: bodies, the merchant's answers, and quarantined bodies. All or
  nothing: while one of the jobs is still to be delivered, nothing is changed.

  KEYS[1] completed  [2] failed  [3] quarantine  [4] quarantine bytes  [5] unverified
  ARGV[1] base ("prefix:queue")  [2] number of jobs
  then per job: id, data without the body, return value, number of log lines, log lines without the answers
  then the quarantine ids
  Returns 'erased' or 'in-progress'.
]]
local base, jobs = ARGV[1], tonumber(ARGV[2])

local at = 2
for _ = 1, jobs do
  local id = ARGV[at + 1]
  local isThere = redis.call('EXISTS', base .. ':' .. id) == 1
  if isThere and not redis.call('ZSCORE', KEYS[1], id) and not redis.call('ZSCORE', KEYS[2], id) then
    return 'in-progress'
  end
  at = at + 4 + tonumber(ARGV[at + 4])
end

at = 2
for _ = 1, jobs do
  local id, data, returned, lines = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local job = base .. ':' .. id
  if redis.call('EXISTS', job) == 1 then
    redis.call('HSET', job, 'data', data, 'erased', 1)
    redis.call('HDEL', job, 'stacktrace', 'failedReason', 'returnvalue')
    if returned ~= '' then redis.call('HSET', job, 'returnvalue', returned) end
    redis.call('DEL', job .. ':logs')
    for line = 1, lines do redis.call('RPUSH', job .. ':logs', ARGV[at + 4 + line]) end
  end
  at = at + 4 + lines
end

for index = at + 1, #ARGV do
  local id = ARGV[index]
  local entry = base .. '/q:' .. id
  local bytes = redis.call('HGET', entry, 'bytes')
  if redis.call('ZREM', KEYS[3], id) == 1 then redis.call('DECRBY', KEYS[4], bytes or 0) end
  redis.call('ZREM', KEYS[5], id)
  redis.call('DEL', entry)
end
return 'erased'
