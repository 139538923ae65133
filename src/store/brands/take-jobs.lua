--[[
  `brand move`: takes jobs out of their places, so that no worker can take them any more, and notes each with its place. A later
  run continues from these notes. A job that a worker holds stays: it is being delivered.

  KEYS[1] wait  [2] paused  [3] active  [4] delayed  [5] prioritized  [6] failed  [7] completed  [8] moving  [9] stalled
       [10] held
  ARGV[1] base ("prefix:queue")  [2] how many at most
  Returns how many were taken.
]]
local base, left = ARGV[1], tonumber(ARGV[2])
local taken = 0

local function note(id, place, score)
  redis.call('HSET', KEYS[8], id, place .. ' ' .. score)
  taken = taken + 1
  left = left - 1
end

for _, list in ipairs({ KEYS[1], KEYS[2] }) do
  while left > 0 do
    local id = redis.call('RPOP', list)
    if not id then break end
    note(id, 'wait', 0)
  end
end

-- An active job without a lock has lost its worker: BullMQ would give it to another one.
for _, id in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  if left == 0 then break end
  if redis.call('EXISTS', base .. ':' .. id .. ':lock') == 0 then
    redis.call('LREM', KEYS[3], 1, id)
    redis.call('SREM', KEYS[9], id)
    note(id, 'wait', 0)
  end
end

local sets = { { 'delayed', KEYS[4] }, { 'prioritized', KEYS[5] }, { 'failed', KEYS[6] }, { 'completed', KEYS[7] }, { 'held', KEYS[10] } }
for _, entry in ipairs(sets) do
  local place, set = unpack(entry)
  local members = left > 0 and redis.call('ZRANGE', set, 0, left - 1, 'WITHSCORES') or {}
  for at = 1, #members, 2 do
    redis.call('ZREM', set, members[at])
    note(members[at], place, members[at + 1])
  end
end
return taken
