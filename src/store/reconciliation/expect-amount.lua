--[[
  Stores the amount of an expectation, and adds it to the job if the callback came first; accept.lua adds it to later callbacks.
  If mismatches are held, a mismatched job that no worker has taken yet is held.

  KEYS[1] flag: amounts are expected  [2] expected amount  [3] claim  [4] wait  [5] delayed  [6] held  [7] mismatched
  ARGV[1] base ("prefix:queue")  [2] claim digest  [3] amount, JSON  [4] kept for, ms  [5] '1' holds mismatches  [6] now, ms
  Returns the job data if the amount was added to it, else ''; and 1 if a worker took it before or it is held, else 0.
]]
local base, digest, amount, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

redis.call('SET', KEYS[1], '1', 'PX', kept)
redis.call('HSETNX', KEYS[2], 'amount', amount)
redis.call('PEXPIRE', KEYS[2], kept)
amount = redis.call('HGET', KEYS[2], 'amount')

local claim = redis.pcall('GET', KEYS[3])
local nonce = type(claim) == 'string' and string.match(claim, '^([^,]*),')
if not nonce then return { '', 0 } end
local jobId = digest .. nonce
local jobKey = base .. ':' .. jobId
local data, started, isUnseen = unpack(redis.call('HMGET', jobKey, 'data', 'ats', 'isUnseen'))
-- Inside the body its quotes are escaped.
if not data or string.find(data, '"expectedAmount":', 1, true) then return { '', 0 } end
data = string.format('%s,"expectedAmount":%s}', string.sub(data, 1, -2), amount)
redis.call('HSET', jobKey, 'data', data)
if not isPaidOtherwise(data, amount, isUnseen) then return { data, started and 1 or 0 } end
redis.call('ZADD', KEYS[7], ARGV[6], jobId)
if ARGV[5] == '1' and not started then
  local taken = redis.call('ZREM', KEYS[5], jobId)
  if taken == 0 then taken = redis.call('LREM', KEYS[4], 1, jobId) end
  if taken > 0 then
    redis.call('HSET', jobKey, 'held', 'amount')
    redis.call('ZADD', KEYS[6], ARGV[6], jobId)
    return { data, 1 }
  end
end
return { data, started and 1 or 0 }
