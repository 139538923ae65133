--[[
  Cuts times that lie too far ahead: they were written under a wrong clock, or Redis's clock was set back since.

  KEYS[1] delayed  [2] stalled-check  [3] active  [4] marker
  ARGV[1] base ("prefix:queue")  [2] stalled interval, ms  [3] longest lock, ms  [4] rank to begin at  [5] jobs to look at
  Returns the rank to continue at, 0 after the last one.
]]
local base, from, count = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local scoreFactor, slackMs = 0x1000, 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function cutExpiry(key, mostMs)
  if redis.call('PTTL', key) > mostMs + slackMs then redis.call('PEXPIRE', key, mostMs) end
end

-- Otherwise nobody would look for the jobs of dead workers.
cutExpiry(KEYS[2], tonumber(ARGV[2]))
for _, id in ipairs(redis.call('LRANGE', KEYS[3], 0, count - 1)) do
  cutExpiry(base .. ':' .. id .. ':lock', tonumber(ARGV[3]))
end

-- A job notes its whole delay; what is left can never be longer.
local jobs = redis.call('ZREVRANGE', KEYS[1], from, from + count - 1, 'WITHSCORES')
local isCut = false
for at = 1, #jobs, 2 do
  local waitMs = tonumber(redis.call('HGET', base .. ':' .. jobs[at], 'delay') or '')
  if waitMs and jobs[at + 1] / scoreFactor - now > waitMs + slackMs then
    redis.call('ZADD', KEYS[1], (now + waitMs) * scoreFactor, jobs[at])
    isCut = true
  end
end
if isCut then
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  redis.call('ZADD', KEYS[4], first[2] / scoreFactor, '1')
end
return #jobs < count * 2 and 0 or from + count
