--[[
  Put before the scripts that need it, after lease.lua: reads and writes the record of a delivery in a claim (claims.ts), and tells which
  jobs were removed before they were delivered.
]]

-- The claim of a job: its key, and what is noted behind its six fields. Nil where the claim is another job's.
local function claimOf(base, jobId)
  local digest = string.match(jobId, '^(.*)%.') or ''
  local key = base .. '/c:' .. digest
 local text = redis.pcall('GET', key) -- somebody may have given it another type
  local nonce, noted = string.match(type(text) == 'string' and text or '', '^([^,]*),%d+,%d+,[^,]*,[^,]*,[^,]*(.*)$')
  if nonce ~= string.sub(jobId, #digest + 1) then return nil end
  return key, noted
end

local function toBase36(number)
  local digits = ''
  repeat
    local digit = number % 36
    digits = string.sub('0123456789abcdefghijklmnopqrstuvwxyz', digit + 1, digit + 1) .. digits
    number = math.floor(number / 36)
  until number == 0
  return digits
end

-- The first record stands: a replay does not change when a callback was delivered. `at` is in base 36 ms.
local function noteDelivered(base, jobId, at)
  local key, noted = claimOf(base, jobId)
  if not key or noted ~= '' then return end
  redis.call('APPEND', key, ',delivered,' .. at)
  if redis.call('EXISTS', base .. ':' .. jobId) == 0 then redis.call('ZREM', base .. '/r', jobId) end
end

-- When the last delivery was, for whoever asks since when there was none.
local function noteLast(followed, atMs)
  local before = tonumber(redis.call('HGET', followed, 'at') or 0)
  if tonumber(atMs) > before then redis.call('HSET', followed, 'at', atMs) end
end

-- A hash without data is what BullMQ leaves of a job whose hash was gone when a worker took its id.
local function hasContent(base, jobId)
  return redis.call('HEXISTS', base .. ':' .. jobId, 'data') == 1
end

-- Its claim expects a job that is gone, no delivery is recorded, and no built-in worker has it in hand.
local function isRemoved(base, inHand, jobId)
  if hasContent(base, jobId) then return false end
  local key, noted = claimOf(base, jobId)
  if not key or noted ~= '' then return false end
  return not isLeased(inHand, jobId)
end

-- Of a index entry: registers a removed job, and takes the entry of one out that is gone for good.
local function settleEntry(base, inHand, part, jobId, receivedAt)
  if hasContent(base, jobId) then return 0 end
  if isRemoved(base, inHand, jobId) then
    redis.call('ZADD', base .. '/r', receivedAt, jobId)
    return 0
  end
  local key, noted = claimOf(base, jobId)
  if key and noted == '' then return 0 end -- a worker has it in hand
  redis.call('ZREM', base .. '/r', jobId)
  return redis.call('ZREM', part, jobId)
end
