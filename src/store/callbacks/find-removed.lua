--[[
  Searches a stretch of an index part, newest first, and registers the jobs that were removed before they were delivered.

  KEYS[1] removed  [2] in hand  [3] index part
  ARGV[1] base ("prefix:queue")  [2] first rank  [3] last rank
  Returns { how many entries there were, how many jobs are registered }.
]]
local entries = redis.call('ZREVRANGE', KEYS[3], ARGV[2], ARGV[3], 'WITHSCORES')
for at = 1, #entries, 2 do
  settleEntry(ARGV[1], KEYS[2], KEYS[3], entries[at], entries[at + 1])
end
return { #entries / 2, redis.call('ZCARD', KEYS[1]) }
