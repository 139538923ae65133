--[[
  Removes index entries whose jobs are gone for good, and registers jobs that were removed before they were delivered. Walks a
  step of the set.

  KEYS[1] index part  [2] in hand
  ARGV[1] base ("prefix:queue")  [2] cursor, '0' to begin  [3] about how many entries
  Returns { the next cursor, '0' at the end; how many were removed }.
]]
local step = redis.call('ZSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local gone = 0
for at = 1, #step[2], 2 do
  gone = gone + settleEntry(ARGV[1], KEYS[2], KEYS[1], step[2][at], step[2][at + 1])
end
return { step[1], gone }
