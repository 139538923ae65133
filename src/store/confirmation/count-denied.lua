--[[
  Counts the callbacks that the gateway denied since a time and that are not held: those that were delivered.

  KEYS[1] denied  [2] held
  ARGV[1] since, ms  [2] how many to look at
]]
local ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local count = 0
for _, id in ipairs(ids) do
  if not redis.call('ZSCORE', KEYS[2], id) then count = count + 1 end
end
return count
