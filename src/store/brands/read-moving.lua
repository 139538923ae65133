--[[
  `brand move`: reads everything about jobs that were taken out to be moved, with their claims.

  KEYS[1] moving  [2] index success  [3] index failed  [4] index other
  ARGV[1] base ("prefix:queue")  [2] how many at most
  Returns per job: { id, place, score, hash as alternating fields and values, log lines, number of its index part or 0, its
  score there, claim text or '', the claim's time to live in ms }.
]]
local base, left = ARGV[1], tonumber(ARGV[2])
local noted = redis.call('HGETALL', KEYS[1])
local jobs = {}
for at = 1, math.min(#noted, 2 * left), 2 do
  local id = noted[at]
  local place, score = string.match(noted[at + 1], '^(%S+) (.*)$')
  local part, receivedAt = 0, '0'
  for index = 1, 3 do
    local found = redis.call('ZSCORE', KEYS[1 + index], id)
    if found then part, receivedAt = index, found end
  end
  local claim = base .. '/c:' .. (string.match(id, '^(.*)%.') or '')
  jobs[#jobs + 1] = {
    id, place, score,
    redis.call('HGETALL', base .. ':' .. id),
    redis.call('LRANGE', base .. ':' .. id .. ':logs', 0, -1),
    part, receivedAt,
    redis.call('GET', claim) or '', redis.call('PTTL', claim),
  }
end
return jobs
