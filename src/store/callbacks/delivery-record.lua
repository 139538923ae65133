--[[
  Prepended after lease.lua to the scripts that need it: reads and writes the record of a delivery in a claim (claims.ts), and
  finds jobs that were removed before they were delivered.
]]

-- The claim of a job: its key, and what follows its six fields. Nil if the claim belongs to another job.
local function claimOf(base, jobId)
  local digest = string.match(jobId, '^(.*)%.') or ''
  local key = base .. '/c:' .. digest
 local text = redis.pcall('GET', key) -- it may have the wrong type
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

-- The first record stays: a replay does not change when a callback was delivered. `at` is in base 36 ms.
local function noteDelivered(base, jobId, at)
  local key, noted = claimOf(base, jobId)
  if not key or noted ~= '' then return end
  redis.call('APPEND', key, ',delivered,' .. at)
  if redis.call('EXISTS', base .. ':' .. jobId) == 0 then redis.call('ZREM', base .. '/r', jobId) end
end

-- The time of the last delivery, which shows since when nothing was delivered.
local function noteLast(followed, atMs)
  local before = tonumber(redis.call('HGET', followed, 'at') or 0)
  if tonumber(atMs) > before then redis.call('HSET', followed, 'at', atMs) end
end

-- BullMQ leaves a hash without data if the job's hash was gone when a worker took its id.
local function hasContent(base, jobId)
  return redis.call('HEXISTS', base .. ':' .. jobId, 'data') == 1
end

-- Its claim expects a job that is gone, no delivery is recorded, and no built-in worker holds it.
local function isRemoved(base, inHand, jobId)
  if hasContent(base, jobId) then return false end
  local key, noted = claimOf(base, jobId)
  if not key or noted ~= '' then return false end
  return not isLeased(inHand, jobId)
end

-- For an index entry: registers a job that was removed, and drops the entry of one that is gone for good.
local function settleEntry(base, inHand, part, jobId, receivedAt)
  if hasContent(base, jobId) then return 0 end
  if isRemoved(base, inHand, jobId) then
    redis.call('ZADD', base .. '/r', receivedAt, jobId)
    return 0
  end
  local key, noted = claimOf(base, jobId)
  if key and noted == '' then return 0 end -- a worker holds it
  redis.call('ZREM', base .. '/r', jobId)
  return redis.call('ZREM', part, jobId)
end
