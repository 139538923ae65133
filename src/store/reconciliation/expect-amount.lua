--[[
  Keeps the amount of an expectation, and puts it into the job of the callback where that came before. accept.lua does so
  with every callback that comes after.

  KEYS[1] flag: amounts are expected  [2] expected amount  [3] claim
  ARGV[1] base ("prefix:queue")  [2] claim digest  [3] amount, JSON  [4] kept for, ms
  Returns the job data where the job was told, else ''; and 1 where a delivery of it was begun before, else 0.
]]
local base, digest, amount, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

redis.call('SET', KEYS[1], '1', 'PX', kept)
redis.call('HSETNX', KEYS[2], 'amount', amount)
redis.call('PEXPIRE', KEYS[2], kept)
amount = redis.call('HGET', KEYS[2], 'amount')

local claim = redis.pcall('GET', KEYS[3])
local nonce = type(claim) == 'string' and string.match(claim, '^([^,]*),')
if not nonce then return { '', 0 } end
local jobKey = base .. ':' .. digest .. nonce
local data, started = unpack(redis.call('HMGET', jobKey, 'data', 'ats'))
-- Inside the body its quotes would be escaped.
if not data or string.find(data, '"expectedAmount":', 1, true) then return { '', 0 } end
data = string.format('%s,"expectedAmount":%s}', string.sub(data, 1, -2), amount)
redis.call('HSET', jobKey, 'data', data)
return { data, tonumber(started or 0) > 0 and 1 or 0 }
