--[[
  The one atomic step of intake: claim, enqueue and note down a BATCH of callbacks of one brand.

  For each callback: claims its identity; if it was free, writes the job as BullMQ's addStandardJob does (hash, wait
  list, marker, events) and the ledger; if not, tells duplicate from conflict and keeps a conflict's body. Nothing else
  writes a claim, so two receivers cannot disagree. The layout of the job is BullMQ's own, hence BullMQ is pinned and
  test/queue/accept-differential.test.ts compares every key with what queue.add writes.

  A refusal by Redis (OOM, READONLY, MISCONF) rejects the whole batch before its first write.

  KEYS[1] wait  [2] meta  [3] id  [4] active  [5] events  [6] marker  [7] delayed  [8] completed  [9] failed
       [10] ledger success  [11] ledger failed  [12] ledger other  [13] quarantine  [14] quarantine bytes  [15] unverified
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] claim ttl, ms  [4] merchant reference ttl, ms
       [5] quarantine ttl, ms  [6] job name  [7] job options, JSON
       then 12 per callback:
       [+1] claim digest  [+2] nonce  [+3] status, for the claim  [+4] amount, for the claim  [+5] received at, ms
       [+6] received at, base 36  [+7] merchant reference digest or ''  [+8] job data, JSON
       [+9] source  [+10] ledger part 1..3  [+11] reference digest, '' for the terminal kind  [+12] brand
  Returns for each callback 'queued', 'duplicate' or 'conflict'.
]]
local base, now, claimTtl, merchantTtl, quarantineTtl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local name, options = ARGV[6], ARGV[7]
local fixed, width = 7, 12

local wait, meta, idKey, active, events, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local delayed, completed, failed = KEYS[7], KEYS[8], KEYS[9]

local maxEvents
local queued = 0

local function addJob(jobId, data, timestamp)
  if not maxEvents then
    maxEvents = redis.call('HGET', meta, 'opts.maxLenEvents')
    if not maxEvents then
      maxEvents = 10000
      redis.call('HSET', meta, 'opts.maxLenEvents', maxEvents)
    end
  end
  redis.call('INCR', idKey)
  redis.call('HMSET', base .. ':' .. jobId, 'name', name, 'data', data, 'opts', options,
    'timestamp', timestamp, 'delay', 0, 'priority', 0)
  redis.call('XADD', events, '*', 'event', 'added', 'jobId', jobId, 'name', name)
  redis.call('LPUSH', wait, jobId)
  redis.call('XADD', events, 'MAXLEN', '~', maxEvents, '*', 'event', 'waiting', 'jobId', jobId)
  queued = queued + 1
end

-- Ends an original that a correction replaces. One that is being delivered cannot be stopped: it is marked, and the
-- worker looks at the mark before it would try again.
local function supersede(jobId)
  local jobKey = base .. ':' .. jobId
  if redis.call('EXISTS', jobKey) == 0 or redis.call('ZSCORE', completed, jobId) then return end
  local removed = redis.call('ZREM', delayed, jobId) + redis.call('ZREM', failed, jobId)
  if removed == 0 then removed = redis.call('LREM', wait, 1, jobId) end
  redis.call('HSET', jobKey, 'superseded', 1)
  if removed > 0 then
    redis.call('HSET', jobKey, 'returnvalue', '{"superseded":true}', 'finishedOn', now)
    redis.call('HDEL', jobKey, 'failedReason')
    redis.call('ZADD', completed, now, jobId)
    redis.call('XADD', events, '*', 'event', 'completed', 'jobId', jobId, 'returnvalue', '{"superseded":true}')
  end
end

-- Keeps the body of what contradicts a claim, once per contradiction, where an operator and reconciliation find it.
local function keepConflict(digest, nonce, status, amount, receivedAt, data, brand)
  local conflicts = base .. '/x:' .. digest
  local id = 'q' .. digest .. nonce -- a letter first: a command would take `-...` for an option
  if redis.call('HSETNX', conflicts, status .. '|' .. amount, id) == 0 then return end
  redis.call('PEXPIRE', conflicts, claimTtl)
  local entry = base .. '/q:' .. id
  -- The job's JSON is kept whole and read later: cjson refuses texts that JSON allows, and may not stop this script.
  redis.call('HSET', entry, 'brand', brand, 'reason', 'conflict',
    'detail', 'Another status or final amount than the first callback with this reference.',
    'receivedAt', receivedAt, 'job', data, 'bytes', #data)
  redis.call('PEXPIRE', entry, quarantineTtl)
  redis.call('ZADD', KEYS[13], now, id)
  redis.call('INCRBY', KEYS[14], #data)
  redis.call('ZADD', KEYS[15], now, id)
end

local function accept(at)
  local digest, nonce, status, amount = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local receivedAt, receivedAt36, merchantDigest = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local data, source, part, referenceDigest = ARGV[at + 8], ARGV[at + 9], tonumber(ARGV[at + 10]), ARGV[at + 11]
  local brand = ARGV[at + 12]
  local claimKey = base .. '/c:' .. digest
  local first = string.format('%s,0,0,%s,%s,%s', nonce, receivedAt36, status, amount)
  local isFirst = redis.call('SET', claimKey, first, 'NX', 'PX', claimTtl)
  local claim = not isFirst and redis.call('GET', claimKey)
  local sequence = 0
  local corrects

  if claim then
    local ownNonce, ownSequence, duplicates, since, ownStatus, ownAmount, rest =
      string.match(claim, '^([^,]*),(%d+),(%d+),([^,]*),([^,]*),([^,]*)(.*)$')
    if ownNonce == nonce then return 'queued' end -- a retried call finds its own work done
    local same = ownStatus == status and (ownAmount == amount or ownAmount == '' or amount == '')
    if same or source ~= 'correction' then
      if source == 'callback' then
        redis.call('SET', claimKey, string.format('%s,%s,%d,%s,%s,%s%s', ownNonce, ownSequence,
          tonumber(duplicates) + 1, since, ownStatus, ownAmount, rest), 'KEEPTTL')
      end
      if same then return 'duplicate' end
      keepConflict(digest, nonce, status, amount, receivedAt, data, brand)
      return 'conflict'
    end
    supersede(digest .. ownNonce)
    local earlier = redis.call('HGET', base .. ':' .. digest .. ownNonce, 'corrects')
    corrects = digest .. ownNonce .. (earlier and ',' .. earlier or '')
    sequence = tonumber(ownSequence) + 1
    data = string.format('%s,"sequence":%d}', string.sub(data, 1, -2), sequence)
    redis.call('SET', claimKey, string.format('%s,%d,%s,%s,%s,%s', nonce, sequence, duplicates, receivedAt36,
      status, amount), 'PX', claimTtl)
  end

  local jobId = digest .. nonce
  addJob(jobId, data, receivedAt)
  -- The jobs that it replaces, the latest first: how an operator finds what was delivered before.
  if corrects then redis.call('HSET', base .. ':' .. jobId, 'corrects', corrects) end
  redis.call('ZADD', KEYS[9 + part], receivedAt, jobId)
  if merchantDigest ~= '' then
    local merchantKey = base .. '/m:' .. merchantDigest
    redis.call('HSET', merchantKey, digest, '')
    redis.call('PEXPIRE', merchantKey, merchantTtl)
  end
  if referenceDigest ~= '' then
    local otherKinds = base .. '/o:' .. referenceDigest
    redis.call('HSET', otherKinds, status, digest)
    redis.call('PEXPIRE', otherKinds, claimTtl)
  end
  return 'queued'
end

local outcomes = {}
for at = fixed, #ARGV - width, width do
  outcomes[#outcomes + 1] = accept(at)
end

-- Wakes a worker, as BullMQ's addBaseMarkerIfNeeded does: not while the queue is paused or at its concurrency limit.
if queued > 0 then
  local attributes = redis.call('HMGET', meta, 'paused', 'concurrency')
  local isHeld = attributes[1] or (attributes[2] and redis.call('LLEN', active) >= tonumber(attributes[2]))
  if not isHeld then redis.call('ZADD', marker, 0, '0') end
end
return outcomes
