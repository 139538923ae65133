--[[
  Which jobs of an index part may outlive their claims: those received before a time whose claim has less than a given time to
  live, or is gone. Reads a stretch, oldest first.

  KEYS[1] index part
  ARGV[1] base ("prefix:queue")  [2] the latest receipt, ms  [3] sufficient time to live, ms  [4] offset  [5] count
  Returns { how many entries there were, the job ids }.
]]
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', ARGV[4], ARGV[5])
local due = {}
for _, id in ipairs(ids) do
  local digest = string.match(id, '^(.*)%.') or ''
  local left = redis.call('PTTL', ARGV[1] .. '/c:' .. digest)
  if left ~= -1 and left < tonumber(ARGV[3]) and redis.call('EXISTS', ARGV[1] .. ':' .. id) == 1 then
    due[#due + 1] = id
  end
end
return { #ids, due }
