--[[
  The one atomic step of intake: claims, enqueues and records a BATCH of callbacks of one brand.

  For each callback: claims its identity; if it was free, writes the job as BullMQ's addStandardJob does (hash, wait
  list, marker; events while somebody listens) and the index; if not, distinguishes duplicates from conflicts and keeps a
  conflict's body. No other code claims an identity, so two receivers cannot disagree; others only extend a claim, record a
  delivery in it, or rebuild it from its job (keep-claims.lua, retire.lua, carry-claims.ts). The layout of the job is BullMQ's
  own, so BullMQ is pinned and test/store/accept-batch.test.ts compares every key with what queue.add writes.

  A refusal by Redis (OOM, READONLY, MISCONF) rejects the whole batch before its first write.

  KEYS[1] wait  [2] meta  [3] id  [4] active  [5] events  [6] marker  [7] delayed  [8] completed  [9] failed
       [10] index success  [11] index failed  [12] index other  [13] quarantine  [14] quarantine bytes  [15] unverified
       [16] mark  [17] lineage  [18] lineage hold  [19] flag: amounts are expected  [20] unconfirmed  [21] held
       [22] mismatched  [23] flag: somebody listens to `added` and `waiting`
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] claim ttl, ms  [4] merchant reference ttl, ms
       [5] quarantine ttl, ms  [6] job name  [7] job options, JSON
       [8] brand  [9] mode: 'plain'; 'marked', which always writes something; or 'look', which also does, and accepts nothing
       [10] after how long the gateway is asked to confirm a callback, ms; '' never
       [11] how long a callback waits for the answer before workers see it, ms; 0 for none
       [12] '1' holds callbacks whose amount differs from the ordered one
       [13] the lineage that the caller knows  [14] number n of former names  then those names
       then 11 + n per callback:
       [+1] claim digest  [+2] nonce  [+3] the claim's fields: received at, base 36 ms, status and amount
       [+4] received at, ms  [+5] merchant reference digest or ''  [+6] job data, JSON
       [+7] source; `for:` and a nonce if reconciliation found that job removed, and this one replaces it
       [+8] index part 1..3  [+9] reference digest, '' for the terminal kind
       [+10] '', or the state that a correction is based on: sequence, status and amount
       [+11] its member in the set of unconfirmed callbacks
       then the claim digest under each former name
  Returns for each callback 'queued' (or 'held:' and the ordered amount), 'duplicate', 'conflict' or 'overtaken' (a correction of
  a state that has changed since); in mode 'look', 'gone' for one that must be handed in again. If the lineage differs from the
  caller's, does nothing and returns 'lineage', the lineage, and '1' while it holds callbacks back.

  judge-claimed.lua decides what a callback under a claimed identity is, and gather-jobs.lua writes a batch into BullMQ's places;
  both are prepended to this script.

  A callback may be handed in again under its nonce, in any order and long after it was replaced, and takes effect once. A hash
  beside the claim records that: nonce -> outcome, and `status|amount` -> when a correction replaced such a callback, ms.
]]
local claimTtl, merchantTtl, quarantineTtl = ARGV[3], ARGV[4], ARGV[5]
local brand, mode = ARGV[8], ARGV[9]
local formerNames = tonumber(ARGV[14])
local fixed, width = 14 + formerNames, 11 + formerNames

local texts = redis.call('MGET', KEYS[17], KEYS[19], KEYS[23])
local lineage, amountsExpected = texts[1] or '', texts[2]
isListenedTo = texts[3]
if lineage ~= ARGV[13] then return { 'lineage', lineage, tostring(redis.call('EXISTS', KEYS[18])) } end

-- Beyond it every repetition of a duplicate is counted again; a sender of that many has other problems.
local triesMax = 1000

-- Only ever extends: keys that lead to a claim must not expire before it.
local function live(key, ttl)
  if redis.call('PTTL', key) < tonumber(ttl) then redis.call('PEXPIRE', key, ttl) end
end

-- Notes a try beside its claim; expires with the claim.
local function noteTry(digest, field, value)
  local triesKey = base .. '/t:' .. digest
  redis.pcall('HSET', triesKey, field, value)
  live(triesKey, math.max(tonumber(claimTtl), redis.call('PTTL', base .. '/c:' .. digest)))
end

-- Quarantines the body of a callback that contradicts a claim, once per contradiction, for operators and reconciliation.
local function keepConflict(item, claim)
  local conflicts = base .. '/x:' .. item.digest
  local id = 'q' .. item.digest .. item.nonce -- a letter first: commands would read `-...` as an option
  local contradiction = item.status .. '|' .. item.amount
  if redis.call('HEXISTS', conflicts, contradiction) == 1 then return end
  local entry = base .. '/q:' .. id
  -- The job's JSON is stored whole and parsed later: cjson refuses some valid JSON, which must not stop this script.
  redis.call('HSET', entry, 'brand', brand, 'reason', 'conflict',
    'detail', 'Another status or final amount than the first callback with this reference.',
    'receivedAt', item.receivedAt, 'job', item.data, 'bytes', #item.data,
    'contradicts', claim.sequence .. ',' .. claim.status .. ',' .. claim.amount)
  redis.call('PEXPIRE', entry, quarantineTtl)
  redis.call('ZADD', KEYS[13], now, id)
  redis.call('INCRBY', KEYS[14], #item.data)
  redis.call('ZADD', KEYS[15], now, id)
  redis.call('HSET', conflicts, contradiction, id) -- last, since an entry here prevents a second copy
  -- A quarantine entry is found through these keys, and so is the claim that it contradicts: they must live as long.
  local ttl = math.max(tonumber(quarantineTtl), redis.call('PTTL', item.claimKey))
  redis.call('PEXPIRE', conflicts, ttl)
  redis.call('PEXPIRE', item.claimKey, ttl)
  local beside = { '/t:' .. item.digest, '/m:' .. item.merchantDigest, '/o:' .. item.referenceDigest }
  for _, key in ipairs(beside) do live(base .. key, ttl) end
end

-- A callback that is not queued. It is counted once, however often it is handed in.
local function turnAway(item, claim, outcome)
  if outcome == 'conflict' then keepConflict(item, claim) end
  if item.source == 'callback' then
    redis.call('SET', item.claimKey, string.format('%s,%d,%d,%s,%s,%s%s', claim.nonce, claim.sequence,
      claim.duplicates + 1, claim.since, claim.status, claim.amount, claim.rest), 'KEEPTTL')
  end
  local count = redis.pcall('HLEN', item.triesKey)
  if type(count) == 'number' and count < triesMax then noteTry(item.digest, item.nonce, outcome) end
  return outcome
end

-- A correction that names the state it was based on already contains its sequence.
local function withSequence(item, sequence)
  if sequence == 0 or item.baseSequence then return item.data end
  return string.format('%s,"sequence":%d}', string.sub(item.data, 1, -2), sequence)
end

-- Replaces the current job by a correction, or by a substitute if the job was removed. Returns the new job's data and, for
-- a correction, the jobs that it replaces, latest first, and whether workers have seen none of them.
local function replace(item, claim, outcome)
  local replacedId, data, sequence, corrects, isUnseen = item.digest .. claim.nonce, nil, claim.sequence, nil, nil
  redis.call('ZREM', base .. '/r', replacedId)
  noteTry(item.digest, claim.nonce, 'queued')
  if outcome == 'substitute' then
    redis.call('ZREM', KEYS[9 + item.part], replacedId)
  else
    writeGathered() -- the original may be in this very batch
    isUnseen = supersede(replacedId)
    noteTry(item.digest, claim.status .. '|' .. claim.amount, item.receivedAt)
    local earlier = redis.call('HGET', base .. ':' .. replacedId, 'corrects')
    corrects = replacedId .. (earlier and ',' .. earlier or '')
    sequence = (item.baseSequence or sequence) + 1
  end
  data = withSequence(item, sequence)
  redis.call('SET', item.claimKey, string.format('%s,%d,%d,%s', item.nonce, sequence, claim.duplicates, item.known),
    'PX', math.max(tonumber(claimTtl), redis.call('PTTL', item.claimKey)))
  claimed[#claimed + 1] = item.claimKey
  replaced[item.claimKey] = claim.text
  return data, corrects, isUnseen
end

-- A worker failed the job because it could not read it; the rewritten one starts with the whole schedule.
local function takeOutOfFailed(jobId)
  if redis.call('ZREM', failed, jobId) == 0 then return false end
  redis.call('HDEL', base .. ':' .. jobId, 'atm', 'failedReason', 'stacktrace', 'finishedOn', 'processedOn', 'defa')
  return true
end

-- The digest under which a callback is claimed; and the former name behind it, if there is one.
local function claimedAs(at)
  local own = ARGV[at + 1]
  if formerNames == 0 or redis.call('EXISTS', base .. '/c:' .. own) == 1 then return own end
  for index = 1, formerNames do
    local former = ARGV[at + 11 + index]
    if redis.call('EXISTS', base .. '/c:' .. former) == 1 then return former, ARGV[14 + index] end
  end
  return own
end

-- The ordered amount as JSON; read only while any amount is expected.
local function expectedAmount(at)
  for index = 0, formerNames do
    local digest = index == 0 and ARGV[at + 1] or ARGV[at + 11 + index]
    local amount = redis.pcall('HGET', base .. '/e:' .. digest, 'amount')
    if type(amount) == 'string' then return amount end
  end
end

local function accept(at)
  local nonce, known, receivedAt = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local digest, identityBrand = claimedAs(at)
  local merchantDigest, data, part, referenceDigest = ARGV[at + 5], ARGV[at + 6], tonumber(ARGV[at + 8]), ARGV[at + 9]
  local claimKey = base .. '/c:' .. digest
  local sequence, corrects, isUnseen, torn = 0, nil, nil, nil
  if ARGV[at + 10] ~= '' then sequence = tonumber(string.match(ARGV[at + 10], '^%d+')) + 1 end

  local own = nonce .. ',' .. sequence .. ',0,' .. known
  local isFirst = redis.call('SET', claimKey, own, 'NX', 'PX', claimTtl)
  local claim = not isFirst and readClaim(claimKey)
  if not isFirst and not claim then redis.call('SET', claimKey, own, 'PX', claimTtl) end

  if not claim then
    claimed[#claimed + 1] = claimKey
    if sequence > 0 then -- a correction whose original has expired here
      noteTry(digest, string.match(ARGV[at + 10], ',(.*)$'):gsub(',', '|'), receivedAt)
    end
  else
    local item = readItem(at, digest)
    local outcome, hadEffect = judge(item, claim)
    torn = hadEffect and tornPart(item, claim)
    if torn then
      data = withSequence(item, claim.sequence)
    elseif hadEffect then
      return outcome
    elseif outcome ~= 'correction' and outcome ~= 'substitute' then
      return turnAway(item, claim, outcome)
    else
      data, corrects, isUnseen = replace(item, claim, outcome)
    end
  end

  local jobId = digest .. nonce
  if identityBrand then data = string.format('%s,"identityBrand":"%s"}', string.sub(data, 1, -2), identityBrand) end
  local amount = amountsExpected and referenceDigest == '' and expectedAmount(at)
  local isMismatch = amount and isPaidOtherwise(data, amount, isUnseen)
  if isMismatch then redis.pcall('ZADD', KEYS[22], now, jobId) end
  local isHeld = isMismatch and ARGV[12] == '1'
  if amount then data = string.format('%s,"expectedAmount":%s}', string.sub(data, 1, -2), amount) end
  if torn == 'job' then redis.call('LREM', wait, 0, jobId) end -- its id may still be in the list
  if torn == 'content' and not takeOutOfFailed(jobId) then
    redis.call('HSET', base .. ':' .. jobId, 'name', name, 'data', data, 'opts', options, 'timestamp', receivedAt)
    return 'queued'
  elseif torn then
    claimed[#claimed + 1] = claimKey
    replaced[claimKey] = claim.text
  end
  addJob({ id = jobId, data = data, timestamp = receivedAt, isCalledBack = ARGV[at + 7] == 'callback',
    toConfirm = ARGV[at + 11], isHeld = isHeld, isUnseen = isUnseen })
  -- The replaced jobs, latest first: an operator can see what was delivered before.
  if corrects then redis.call('HSET', base .. ':' .. jobId, 'corrects', corrects) end
  noteInIndex(part, receivedAt, jobId)
  if merchantDigest ~= '' then
    local merchantKey = base .. '/m:' .. merchantDigest
    redis.pcall('HSET', merchantKey, digest, '')
    redis.call('PEXPIRE', merchantKey, merchantTtl)
  end
  if referenceDigest ~= '' then
    local otherKinds = base .. '/o:' .. referenceDigest
    redis.pcall('HSET', otherKinds, string.match(known, ',([^,]*),'), digest)
    live(otherKinds, claimTtl)
  end
  return isHeld and 'held:' .. amount or 'queued'
end

-- Whether handing this one in again would change nothing.
local function look(at)
  local item = readItem(at, claimedAs(at))
  local claim = readClaim(item.claimKey)
  if not claim then return 'gone' end
  local outcome, hadEffect = judge(item, claim)
  if hadEffect and tornPart(item, claim) then return 'gone' end
  if hadEffect or outcome == 'duplicate' or outcome == 'overtaken' then return outcome end
  local isKept = outcome == 'conflict'
    and redis.call('HEXISTS', base .. '/x:' .. item.digest, item.status .. '|' .. item.amount) == 1
  return isKept and outcome or 'gone'
end

local outcomes = {}
local function acceptAll()
  local take = mode == 'look' and look or accept
  for at = fixed, #ARGV - width, width do
    outcomes[#outcomes + 1] = take(at)
  end
  writeGathered()
end

-- A retry that finds its claim counts as stored, so no claim may remain whose job is not in the queue.
local went, reason = pcall(acceptAll)
if not went then
  releaseFrom(#added + 1) -- from the callback that failed
  if not pcall(writeGathered) then releaseFrom(1) end
end

wakeWorkers()
-- `error()` would prefix the text with `ERR`, and a read-only or full Redis would look like a bad callback.
if not went then
  local text = type(reason) == 'table' and reason['err'] or tostring(reason)
  return { err = string.find(text, '^%u+ ') and text or 'ERR ' .. text }
end

-- Since Redis 7.2 WAIT refers to the connection's last write. What this call found may have been written earlier, perhaps by
-- another connection, and may be on no replica yet; a write after it makes WAIT cover it.
if mode ~= 'plain' then redis.call('SET', KEYS[16], now, 'PX', claimTtl) end
return outcomes
