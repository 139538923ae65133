--[[
  Reads everything about some jobs of one brand atomically, with one command for a whole page. Writes nothing. The wait list is
  never searched: a job in none of the other places is waiting.

  KEYS[1] completed  [2] failed  [3] delayed  [4] active  [5] in hand  [6] held  [7] denied
  ARGV[1] base ("prefix:queue")  [2] how many log lines per job, newest last; 0 reads only their count
       [3] how many of the active list to look at  [4...] job ids
  Returns per job: { id, claim text, hash fields (see below), completed score, failed score, delayed score, held score, denied
  score, is active, number of log lines, log lines, conflicts as alternating fields and values }; '' means absent.
]]
local base, logLines, activeMax = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local active = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[4], 0, activeMax - 1)) do
  active[id] = true
end

-- A key of the wrong type hides itself, not the page that it belongs to.
local function textOf(key)
  local text = redis.pcall('GET', key)
  return type(text) == 'string' and text or ''
end

local function pairsOf(key)
  local pairs = redis.pcall('HGETALL', key)
  return pairs['err'] and {} or pairs
end

-- A built-in worker may hold a job that was removed from the queue meanwhile.
local function isActive(id, data)
  if active[id] or data ~= '' then return active[id] end
  return isLeased(KEYS[5], id)
end

local jobs = {}
for index = 4, #ARGV do
  local id = ARGV[index]
  local digest = string.match(id, '^(.*)%.') or ''
  local key = base .. ':' .. id
  local fields = redis.call('HMGET', key, 'data', 'returnvalue', 'failedReason', 'processedOn', 'finishedOn', 'corrects', 'erased', 'timestamp',
    'ats', 'confirmed', 'held')
  for at = 1, 11 do
    fields[at] = fields[at] or ''
  end
  jobs[#jobs + 1] = {
    id,
    textOf(base .. '/c:' .. digest),
    fields,
    redis.call('ZSCORE', KEYS[1], id) or '',
    redis.call('ZSCORE', KEYS[2], id) or '',
    redis.call('ZSCORE', KEYS[3], id) or '',
    redis.call('ZSCORE', KEYS[6], id) or '',
    redis.call('ZSCORE', KEYS[7], id) or '',
    isActive(id, fields[1]) and 1 or 0,
    redis.call('LLEN', key .. ':logs'),
    logLines > 0 and redis.call('LRANGE', key .. ':logs', -logLines, -1) or {},
    logLines > 0 and pairsOf(base .. '/x:' .. digest) or {},
  }
end
return jobs
