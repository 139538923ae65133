--[[
  Finds which of some jobs are in a state, and when each was received. Reads no callback's body, writes nothing.

  KEYS[1] completed  [2] failed  [3] delayed  [4] active  [5] in hand  [6] held  [7...] the index's parts
  ARGV[1] base ("prefix:queue")  [2] the state, as callback-view.ts names it, or '' for any  [3] how many of the active list to look at
       [4] the return value of a superseded job  [5...] job ids
  Returns ids and receipt times in ms, alternating. For a job that no index part has (another program added it) the time is the
  one that BullMQ noted when it was added, else 0.
]]
local base, state = ARGV[1], ARGV[2]

local active = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[4], 0, tonumber(ARGV[3]) - 1)) do
  active[id] = true
end

local function stateOf(id)
  local job = base .. ':' .. id
  if isRemoved(base, KEYS[5], id) then return 'removed' end
  if redis.call('ZSCORE', KEYS[1], id) then
    return redis.call('HGET', job, 'returnvalue') == ARGV[4] and 'superseded' or 'delivered'
  end
  if redis.call('ZSCORE', KEYS[2], id) then return 'failed' end
  if redis.call('ZSCORE', KEYS[3], id) then return redis.call('HEXISTS', job, 'ats') == 1 and 'retrying' or 'queued' end
  if redis.call('ZSCORE', KEYS[6], id) then return 'held' end
  if active[id] then return 'delivering' end
  return redis.call('EXISTS', job) == 1 and 'queued'
end

local function receivedAt(id)
  for part = 7, #KEYS do
    local score = redis.call('ZSCORE', KEYS[part], id)
    if score then return score end
  end
  return redis.call('HGET', base .. ':' .. id, 'timestamp') or '0'
end

local found = {}
for at = 5, #ARGV do
  local id = ARGV[at]
  if state == '' or stateOf(id) == state then
    found[#found + 1] = id
    found[#found + 1] = receivedAt(id)
  end
end
return found
