--[[
  Prepended to accept.lua, after lease.lua: classifies a callback whose identity is already claimed. Only reads; the arguments are
  accept.lua's.
]]
local base, now = ARGV[1], ARGV[2]

-- Whether the finder's view still holds: the job is gone, no delivery is recorded in the claim, and no built-in worker holds
-- the job (delivery-records.ts). While another brand is being moved here, its claims arrive before their jobs.
local function isRemoved(jobId, noted)
  if (noted ~= '' and string.sub(noted, 1, 9) ~= ',removed,') or redis.call('EXISTS', base .. '/incoming') == 1 then return false end
  if redis.call('HEXISTS', base .. ':' .. jobId, 'data') == 1 then return false end
  return not isLeased(base .. '/f', jobId)
end

-- A callback whose identity is already claimed. The others, which are most, need no table.
local function readItem(at, digest)
  local known, replaces = ARGV[at + 3], ARGV[at + 10]
  local status, amount = string.match(known, '^[^,]*,([^,]*),([^,]*)$')
  return { digest = digest, nonce = ARGV[at + 2], known = known, status = status, amount = amount,
    receivedAt = ARGV[at + 4], merchantDigest = ARGV[at + 5], data = ARGV[at + 6], source = ARGV[at + 7],
    part = tonumber(ARGV[at + 8]), referenceDigest = ARGV[at + 9], replaces = replaces, baseSequence = tonumber(string.match(replaces, '^%d+')), isOfAltered = string.find(replaces, ',altered$'),
    claimKey = base .. '/c:' .. digest, triesKey = base .. '/t:' .. digest }
end

-- Nil for an unreadable claim (another type, foreign text): it proves no delivery, so the callback is queued, under the same
-- webhook-id as before.
local function readClaim(claimKey)
  local text = redis.pcall('GET', claimKey)
  if type(text) == 'table' and not string.find(text['err'], '^WRONGTYPE') then error(text) end
  local nonce, sequence, duplicates, since, status, amount, rest =
    string.match(type(text) == 'string' and text or '', '^([^,]*),(%d+),(%d+),([^,]*),([^,]*),([^,]*)(.*)$')
  return nonce and { text = text, nonce = nonce, sequence = tonumber(sequence), duplicates = tonumber(duplicates),
    since = since, status = status, amount = amount, rest = rest }
end

-- An amount that only one of the two names contradicts nothing.
local function agrees(claim, status, amount)
  return claim.status == status and (claim.amount == amount or claim.amount == '' or amount == '')
end

-- What is noted beside the claim; nothing if the key has the wrong type.
local function noted(item, field)
  local value = redis.pcall('HGET', item.triesKey, field)
  return type(value) == 'string' and value
end

-- The outcome of an earlier try: a callback is handed in again until it is known to be safe.
local function takenBefore(item, claim)
  if claim.nonce == item.nonce then return 'queued' end
  local outcome = noted(item, item.nonce)
  if outcome then return outcome end
  -- A former version noted what a correction replaced only in its job.
  local corrects = redis.call('HGET', base .. ':' .. item.digest .. claim.nonce, 'corrects')
  return corrects and string.find(corrects .. ',', item.digest .. item.nonce .. ',', 1, true) and 'queued'
end

-- A correction applies to the state that it was based on. If that is not the current state, the later result wins: another
-- correction has come since, or a failover lost the state.
local function isOvertaken(item, claim)
  if not item.baseSequence then return false end -- queued by a former version, which did not record it
  local status, amount = string.match(item.replaces, '^%d+,([^,]*),([^,]*)$')
  if claim.sequence == item.baseSequence and (item.isOfAltered or agrees(claim, status, amount)) then return false end
  return claim.sequence > item.baseSequence or tonumber(claim.since, 36) > tonumber(item.receivedAt)
end

-- Later sequences were given out and then lost: the merchant may have results that this claim does not show.
local function isBehind(claim, item)
  return item.baseSequence and claim.sequence < item.baseSequence
end

-- It came before the current correction and no try of it is noted, so Redis lost it. It is no new duplicate if it agrees with
-- the claim, and no conflict if a correction replaced such a result.
local function wasLost(item, claim, isSame)
  if isSame then return claim.sequence > 0 and tonumber(item.receivedAt) <= tonumber(claim.since, 36) end
  local replacedAt = noted(item, item.status .. '|' .. item.amount)
  return replacedAt and tonumber(item.receivedAt) <= tonumber(replacedAt)
end

-- Returns the outcome of a callback under a claimed identity, and whether an earlier try already had the whole effect: then
-- nothing is counted or written again.
local function judge(item, claim)
  local outcome = takenBefore(item, claim)
  if outcome then return outcome, true end
  local isSame = agrees(claim, item.status, item.amount)
  if item.source == 'correction' then
    -- A changed body (`isAltered` in claims.ts) agrees with the claim and still counts as news.
    local isNews = not isSame or item.isOfAltered
    if not isNews and not isBehind(claim, item) then return 'duplicate', false end
    return isNews and isOvertaken(item, claim) and 'overtaken' or 'correction', false
  end
  if isSame and item.source == 'for:' .. claim.nonce and isRemoved(item.digest .. claim.nonce, claim.rest) then
    return 'substitute', false
  end
  if wasLost(item, claim, isSame) then return 'duplicate', true end
  return isSame and 'duplicate' or 'conflict', false
end


-- The missing part of the job that an earlier try wrote: 'job', 'content', or nothing. After a power failure Redis loads a
-- torn file without an error. The data of an item without data is not compared.
local function tornPart(item, claim)
  if claim.nonce ~= item.nonce then return nil end
  local jobId, beginning = item.digest .. item.nonce, string.sub(item.data, 1, -2)
  local data, opts, erased = unpack(redis.call('HMGET', base .. ':' .. jobId, 'data', 'opts', 'erased'))
  if not data and not opts then return isRemoved(jobId, claim.rest) and 'job' or nil end
  if erased then return nil end
  local isWhole = data and opts == ARGV[7] and string.sub(data, 1, #beginning) == beginning and not string.find(data, '%z')
  return not isWhole and 'content' or nil
end
