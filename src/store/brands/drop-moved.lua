--[[
  `brand move`: removes jobs that have arrived at the other brand.

  KEYS[1] moving  [2] index success  [3] index failed  [4] index other
  ARGV[1] base ("prefix:queue")  then job ids
]]
local base = ARGV[1]
for at = 2, #ARGV do
  local id = ARGV[at]
  local job = base .. ':' .. id
  redis.call('DEL', job, job .. ':logs', job .. ':lock', job .. ':dependencies', job .. ':processed', job .. ':failed',
    job .. ':unsuccessful')
  for part = 2, 4 do redis.call('ZREM', KEYS[part], id) end
  redis.call('HDEL', KEYS[1], id)
end
return #ARGV - 1
