--[[
  Since when the oldest of some undelivered callbacks has been here or, if it was replayed, since when it has been waiting again.
  Reads a stretch of each place: the longest waiting, and those with the next attempt.

  KEYS[1] wait  [2] active  [3] delayed  [4] prioritized  [5] held
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] first  [4] last, of each place
  Returns the time in ms; '' if there is none.
]]
local base, now, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local oldest

local function look(ids)
  for _, id in ipairs(ids) do
    local times = redis.call('HMGET', base .. ':' .. id, 'replayedAt', 'timestamp')
    local since = tonumber(times[1] or times[2] or '')
    -- Another program's value may not be a time, or may lie in the future.
    if since and since <= now and (not oldest or since < oldest) then oldest = since end
  end
end

look(redis.call('LRANGE', KEYS[1], -last - 1, -first - 1)) -- the end of the list is its head
look(redis.call('LRANGE', KEYS[2], first, last))
look(redis.call('ZRANGE', KEYS[3], first, last))
look(redis.call('ZRANGE', KEYS[4], first, last))
look(redis.call('ZRANGE', KEYS[5], first, last))
return oldest and string.format('%.0f', oldest) or ''
