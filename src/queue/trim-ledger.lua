--[[
  Takes entries out of a ledger part whose jobs are gone: a worker of the merchant's own may remove what it completed.
  Walks a step of the set.

  KEYS[1] ledger part
  ARGV[1] base ("prefix:queue")  [2] cursor, '0' to begin  [3] about how many entries
  Returns { the next cursor, '0' at the end; how many were removed }.
]]
local step = redis.call('ZSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local gone = {}
for at = 1, #step[2], 2 do
  local id = step[2][at]
  if redis.call('EXISTS', ARGV[1] .. ':' .. id) == 0 then gone[#gone + 1] = id end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return { step[1], #gone }
