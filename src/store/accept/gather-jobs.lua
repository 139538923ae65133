--[[
  Prepended to accept.lua, after judge-claimed.lua: writes a batch of callbacks into BullMQ's places and the index. The arguments
  are accept.lua's.
]]
local name, options = ARGV[6], ARGV[7]

local wait, meta, idKey, active, events, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local delayed, completed, failed = KEYS[7], KEYS[8], KEYS[9]

local knownMaxEvents
local function maxEvents()
  if knownMaxEvents then return knownMaxEvents end
  knownMaxEvents = redis.call('HGET', meta, 'opts.maxLenEvents')
  if not knownMaxEvents then
    knownMaxEvents = 10000
    redis.call('HSET', meta, 'opts.maxLenEvents', knownMaxEvents)
  end
  return knownMaxEvents
end

-- Entries for the shared lists and sets are gathered and written at once: a command costs more than its data.
local added, waiting = {}, {}
local indexes = { {}, {}, {} }
local queued = 0

-- Jobs that workers do not see yet: until the gateway confirmed them, or until an operator replays them.
local awaiting, unconfirmed, held = {}, {}, {}
local askAfter, waitFor = tonumber(ARGV[10]), tonumber(ARGV[11])
local askAt = askAfter and string.format('%.0f', now + askAfter)

-- Claims whose jobs are not in the queue yet, in the order of `added`, and the previous text of those that existed.
local claimed = {}
local replaced = {}

local function releaseFrom(first)
  for at = #claimed, first, -1 do
    local before = replaced[claimed[at]]
    if before then redis.call('SET', claimed[at], before, 'KEEPTTL') else redis.call('DEL', claimed[at]) end
    claimed[at] = nil
  end
end

-- Set by accept.lua. The two events are a sixth of what a callback writes to the append-only file.
local isListenedTo

local function tellOfNew(jobId, isWaiting)
  redis.call('XADD', events, '*', 'event', 'added', 'jobId', jobId, 'name', name)
  if not isWaiting then return end
  redis.call('XADD', events, 'MAXLEN', '~', maxEvents(), '*', 'event', 'waiting', 'jobId', jobId)
end

-- Call it only when nothing can fail any more: the claim of a job that is not among `added` is released.
local function addJob(job)
  local jobId, isAwaiting = job.id, job.isCalledBack and waitFor > 0 and not job.isHeld
  redis.call('HMSET', base .. ':' .. jobId, 'name', name, 'data', job.data, 'opts', options,
    'timestamp', job.timestamp, 'delay', isAwaiting and ARGV[11] or '0', 'priority', '0') -- as text: Redis would have to format a number
  if job.isHeld then redis.call('HSET', base .. ':' .. jobId, 'held', 'amount') end
  if job.isUnseen then redis.call('HSET', base .. ':' .. jobId, 'isUnseen', '1') end
  if isListenedTo then tellOfNew(jobId, not job.isHeld and not isAwaiting) end
  added[#added + 1] = jobId
  if job.isCalledBack and askAfter then
    unconfirmed[#unconfirmed + 1] = askAt
    unconfirmed[#unconfirmed + 1] = job.toConfirm
  end
  if job.isHeld then
    held[#held + 1] = now
    held[#held + 1] = jobId
  else
    local place = isAwaiting and awaiting or waiting
    place[#place + 1] = jobId
  end
end

-- As BullMQ's addDelayedJob does, by Redis's clock, which workers compare with.
local function writeAwaiting()
  local time = redis.call('TIME')
  local due = time[1] * 1000 + math.floor(time[2] / 1000) + waitFor
  local last = redis.call('ZREVRANGEBYSCORE', delayed, (due + 1) * 0x1000 - 1, due * 0x1000, 'WITHSCORES', 'LIMIT', 0, 1)
  local score = last[2] and last[2] + 1 or due * 0x1000
  for at, jobId in ipairs(awaiting) do
    redis.call('ZADD', delayed, math.min(score + at - 1, (due + 1) * 0x1000 - 1), jobId)
    redis.call('XADD', events, 'MAXLEN', '~', maxEvents(), '*', 'event', 'delayed', 'jobId', jobId, 'delay', due)
  end
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  redis.call('ZADD', marker, first[2] / 0x1000, '1')
end

local function noteInIndex(part, receivedAt, jobId)
  local entries = indexes[part]
  entries[#entries + 1] = receivedAt
  entries[#entries + 1] = jobId
end

local function writeGathered()
  if #added == 0 then return end
  maxEvents() -- writes the meta key, by which brands and dashboards find the queue
  redis.call('INCRBY', idKey, #added)
  -- What may fail comes first: on a retry a set takes a job only once, but the list would take it twice.
  if #awaiting > 0 then writeAwaiting() end
  if #held > 0 then redis.call('ZADD', KEYS[21], unpack(held)) end
  if #waiting > 0 then redis.call('LPUSH', wait, unpack(waiting)) end
  queued = queued + #waiting
  -- The jobs are queued by now; a look-up key of the wrong type must not undo that.
  for part, entries in ipairs(indexes) do
    if #entries > 0 then redis.pcall('ZADD', KEYS[9 + part], unpack(entries)) end
  end
  if #unconfirmed > 0 then redis.pcall('ZADD', KEYS[20], unpack(unconfirmed)) end
  added, waiting, awaiting, held, unconfirmed = {}, {}, {}, {}, {}
  claimed, replaced, indexes = {}, {}, { {}, {}, {} }
end

-- Ends a job that a correction replaces. One that is being delivered cannot be stopped; the worker checks the mark before
-- its next attempt. Returns whether no worker has seen it or what it had replaced.
local function supersede(jobId)
  local jobKey = base .. ':' .. jobId
  local data, started, isUnseen = unpack(redis.call('HMGET', jobKey, 'data', 'ats', 'isUnseen'))
  if redis.call('EXISTS', jobKey) == 0 or redis.call('ZSCORE', completed, jobId) then return false end
  local removed = redis.call('ZREM', delayed, jobId) + redis.call('ZREM', failed, jobId) + redis.call('ZREM', KEYS[21], jobId)
  if removed == 0 then removed = redis.call('LREM', wait, 1, jobId) end
  redis.call('HSET', jobKey, 'superseded', 1)
  if removed > 0 then
    redis.call('HSET', jobKey, 'returnvalue', '{"superseded":true}', 'finishedOn', now)
    redis.call('HDEL', jobKey, 'failedReason')
    redis.call('ZADD', completed, now, jobId)
    redis.call('XADD', events, '*', 'event', 'completed', 'jobId', jobId, 'returnvalue', '{"superseded":true}')
  end
  return removed > 0 and data and not started and (isUnseen or not string.find(data, '"sequence":', 1, true))
end

-- As BullMQ's addBaseMarkerIfNeeded: not while the queue is paused or at its concurrency limit.
local function wakeWorkers()
  if queued == 0 then return end
  local attributes = redis.call('HMGET', meta, 'paused', 'concurrency')
  local isPaused = attributes[1] or (attributes[2] and redis.call('LLEN', active) >= tonumber(attributes[2]))
  if not isPaused then redis.call('ZADD', marker, 0, '0') end
end

