--[[
  Since when the oldest of some callbacks that are not delivered yet has been here, or, where it was replayed, since when
  it waits again. Looks at a stretch of each place: those that wait longest, and those whose next attempt is next.

  KEYS[1] wait  [2] active  [3] delayed  [4] prioritized  [5] held
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] first  [4] last, of each place
  Returns the time in ms, or '' where there is none.
]]
local base, now, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local oldest

local function look(ids)
  for _, id in ipairs(ids) do
    local times = redis.call('HMGET', base .. ':' .. id, 'replayedAt', 'timestamp')
    local since = tonumber(times[1] or times[2] or '')
    -- What others noted may be no time, or one that is yet to come.
    if since and since <= now and (not oldest or since < oldest) then oldest = since end
  end
end

look(redis.call('LRANGE', KEYS[1], -last - 1, -first - 1)) -- the end of the list is its head
look(redis.call('LRANGE', KEYS[2], first, last))
look(redis.call('ZRANGE', KEYS[3], first, last))
look(redis.call('ZRANGE', KEYS[4], first, last))
look(redis.call('ZRANGE', KEYS[5], first, last))
return oldest and string.format('%.0f', oldest) or ''
