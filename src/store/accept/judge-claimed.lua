--[[
  Put before accept.lua, after lease.lua: what a callback is whose identity is claimed already. Only reads; the arguments are accept.lua's.
]]
local base, now = ARGV[1], ARGV[2]

-- Still as its finder saw it: the job is gone, nothing behind the claim's fields records a delivery, and no built-in worker
-- has it in hand (delivery-records.ts). While another brand is moved here, its claims are here before their jobs.
local function isRemoved(jobId, noted)
  if (noted ~= '' and string.sub(noted, 1, 9) ~= ',removed,') or redis.call('EXISTS', base .. '/incoming') == 1 then return false end
  if redis.call('HEXISTS', base .. ':' .. jobId, 'data') == 1 then return false end
  return not isLeased(base .. '/f', jobId)
end

-- A callback whose identity is claimed. Only these have a table: the others are the many.
local function readItem(at, digest)
  local known, replaces = ARGV[at + 3], ARGV[at + 10]
  local status, amount = string.match(known, '^[^,]*,([^,]*),([^,]*)$')
  return { digest = digest, nonce = ARGV[at + 2], known = known, status = status, amount = amount,
    receivedAt = ARGV[at + 4], merchantDigest = ARGV[at + 5], data = ARGV[at + 6], source = ARGV[at + 7],
    part = tonumber(ARGV[at + 8]), referenceDigest = ARGV[at + 9], replaces = replaces, judgedBy = tonumber(string.match(replaces, '^%d+')), isOfAltered = string.find(replaces, ',altered$'),
    claimKey = base .. '/c:' .. digest, triesKey = base .. '/t:' .. digest }
end

-- Nil for a claim that cannot be read (another type, foreign text): it proves no delivery, so the callback is queued. It
-- has the webhook-id that it would have had before.
local function readClaim(claimKey)
  local text = redis.pcall('GET', claimKey)
  if type(text) == 'table' and not string.find(text['err'], '^WRONGTYPE') then error(text) end
  local nonce, sequence, duplicates, since, status, amount, rest =
    string.match(type(text) == 'string' and text or '', '^([^,]*),(%d+),(%d+),([^,]*),([^,]*),([^,]*)(.*)$')
  return nonce and { text = text, nonce = nonce, sequence = tonumber(sequence), duplicates = tonumber(duplicates),
    since = since, status = status, amount = amount, rest = rest }
end

-- An amount that one of the two does not name contradicts nothing.
local function saysTheSame(claim, status, amount)
  return claim.status == status and (claim.amount == amount or claim.amount == '' or amount == '')
end

-- What is noted beside the claim; where somebody gave that key another type, nothing is.
local function noted(item, field)
  local value = redis.pcall('HGET', item.triesKey, field)
  return type(value) == 'string' and value
end

-- What became of an earlier try: a callback is handed in again until it is known to be safe.
local function takenBefore(item, claim)
  if claim.nonce == item.nonce then return 'queued' end
  local outcome = noted(item, item.nonce)
  if outcome then return outcome end
  -- A former version noted what it replaced in the correction's job alone.
  local corrects = redis.call('HGET', base .. ':' .. item.digest .. claim.nonce, 'corrects')
  return corrects and string.find(corrects .. ',', item.digest .. item.nonce .. ',', 1, true) and 'queued'
end

-- A correction counts against what it was judged by. Where that is not what stands, the later word counts: another
-- correction has come since, or what it was judged by was lost with a primary.
local function isOvertaken(item, claim)
  if not item.judgedBy then return false end -- of a former version, which did not say
  local status, amount = string.match(item.replaces, '^%d+,([^,]*),([^,]*)$')
  if claim.sequence == item.judgedBy and (item.isOfAltered or saysTheSame(claim, status, amount)) then return false end
  return claim.sequence > item.judgedBy or tonumber(claim.since, 36) > tonumber(item.receivedAt)
end

-- Where later sequences were given out and lost, the merchant may know other words than what stands here.
local function isBehind(claim, item)
  return item.judgedBy and claim.sequence < item.judgedBy
end

-- It came before the correction that stands, and no try of it is noted. So Redis lost it: it counts as no duplicate where
-- it says the same, and as no conflict where such a callback was what a correction replaced.
local function wasLost(item, claim, isSame)
  if isSame then return claim.sequence > 0 and tonumber(item.receivedAt) <= tonumber(claim.since, 36) end
  local replacedAt = noted(item, item.status .. '|' .. item.amount)
  return replacedAt and tonumber(item.receivedAt) <= tonumber(replacedAt)
end

-- What a callback is under a claimed identity, and whether it has had all its effect before.
local function judge(item, claim)
  local outcome = takenBefore(item, claim)
  if outcome then return outcome, true end
  local isSame = saysTheSame(claim, item.status, item.amount)
  if item.source == 'correction' then
    -- Of a body that was altered in what no claim holds (claims.ts): it says the same, and counts.
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


-- What is missing of the job that an earlier try made: 'job', 'content', or nothing. Where the power failed while Redis wrote
-- it, a part is torn, and Redis loads the rest without a word. An item without data is not compared by it.
local function tornPart(item, claim)
  if claim.nonce ~= item.nonce then return nil end
  local jobId, beginning = item.digest .. item.nonce, string.sub(item.data, 1, -2)
  local data, opts, erased = unpack(redis.call('HMGET', base .. ':' .. jobId, 'data', 'opts', 'erased'))
  if not data and not opts then return isRemoved(jobId, claim.rest) and 'job' or nil end
  if erased then return nil end
  local isWhole = data and opts == ARGV[7] and string.sub(data, 1, #beginning) == beginning and not string.find(data, '%z')
  return not isWhole and 'content' or nil
end
