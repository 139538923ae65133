--[[
  `brand move`: puts jobs of another brand into the places that they had there, each once, however often it is called.

  A job comes with the claim of its identity, so that its duplicates are recognized as soon as it is here. If another callback or
  correction already holds the claim, an undelivered job must not be delivered beside it: it is `superseded` if a correction
  replaced it; otherwise ('claimed') the caller hands it to intake, which decides.

  KEYS[1] wait  [2] delayed  [3] prioritized  [4] failed  [5] completed  [6] meta  [7] active  [8] events  [9] marker
       [10] id  [11] index success  [12] index failed  [13] index other  [14] taken  [15] held
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] merchant reference ttl, ms
       then per job: id, place, score, number of its index part or 0, its score there, claim text or '', the claim's time
       to live in ms, merchant reference digest or '', number of hash fields and values, these, number of log lines, these
  Returns for each job 'put', 'already' or 'claimed'.
]]
local base, now, merchantTtl = ARGV[1], ARGV[2], ARGV[3]
local wait, delayed, prioritized, failed, completed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local meta, active, events, marker = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local sets = { delayed = delayed, prioritized = prioritized, failed = failed, completed = completed, held = KEYS[15] }
local queued = false

local function holderOf(digest, claim, ttl)
  if digest == '' then return nil end
  local key = base .. '/c:' .. digest
  if claim ~= '' and tonumber(ttl) > 0 then redis.call('SET', key, claim, 'NX', 'PX', ttl) end
  local text = redis.pcall('GET', key) -- it may have the wrong type
  return string.match(type(text) == 'string' and text or '', '^([^,]*),')
end

-- Whether the job that holds the claim is a correction of this one.
local function isReplacedBy(holder, id)
  local corrects = redis.call('HGET', base .. ':' .. holder, 'corrects')
  for replaced in string.gmatch(corrects or '', '[^,]+') do
    if replaced == id then return true end
  end
  return false
end

local function settle(id, place, score)
  if place == 'wait' then
    redis.call('LPUSH', wait, id)
    redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id)
    queued = true
  else
    redis.call('ZADD', sets[place], score, id)
  end
  if place == 'prioritized' then queued = true end
end

local function put(job)
  local id, place, score = job.id, job.place, job.score
  if redis.call('SISMEMBER', KEYS[14], id) == 1 or redis.call('EXISTS', base .. ':' .. id) == 1 then return 'already' end
  local digest = string.match(id, '^(.*)%.') or ''
  local holder = holderOf(digest, job.claim, job.claimTtl)
  local isOpen = place ~= 'completed'
  local superseded = false
  if isOpen and holder and digest .. holder ~= id and not job.isSuperseded then
    if not isReplacedBy(digest .. holder, id) then return 'claimed' end
    superseded = true
  end
  redis.call('SADD', KEYS[14], id)
  if #job.fields == 0 then return 'put' end -- it was removed elsewhere
  redis.call('HSET', base .. ':' .. id, unpack(job.fields))
  for _, line in ipairs(job.lines) do redis.call('RPUSH', base .. ':' .. id .. ':logs', line) end
  if superseded then
    redis.call('HSET', base .. ':' .. id, 'superseded', 1, 'returnvalue', '{"superseded":true}', 'finishedOn', now)
    redis.call('HDEL', base .. ':' .. id, 'failedReason')
    place, score = 'completed', now
  end
  if job.part > 0 then redis.call('ZADD', KEYS[10 + job.part], job.receivedAt, id) end
  if job.merchantDigest ~= '' then
    redis.call('HSET', base .. '/m:' .. job.merchantDigest, digest, '')
    redis.call('PEXPIRE', base .. '/m:' .. job.merchantDigest, merchantTtl)
  end
  redis.call('INCR', KEYS[10])
  settle(id, place, score)
  return 'put'
end

local at = 3
local function nextOf()
  at = at + 1
  return ARGV[at]
end
local function nextList()
  local list = {}
  for _ = 1, tonumber(nextOf()) do list[#list + 1] = nextOf() end
  return list
end

local outcomes = {}
while at < #ARGV do
  local job = {
    id = nextOf(), place = nextOf(), score = nextOf(), part = tonumber(nextOf()), receivedAt = nextOf(),
    claim = nextOf(), claimTtl = nextOf(), merchantDigest = nextOf(), fields = nextList(), lines = nextList(),
  }
  for field = 1, #job.fields, 2 do
    if job.fields[field] == 'superseded' then job.isSuperseded = true end
  end
  outcomes[#outcomes + 1] = put(job)
end

-- Wakes a worker as BullMQ does: not while the queue is paused or at its concurrency limit.
local attributes = redis.call('HMGET', meta, 'paused', 'concurrency')
local isHeld = attributes[1] or (attributes[2] and redis.call('LLEN', active) >= tonumber(attributes[2]))
if queued and not isHeld then redis.call('ZADD', marker, 0, '0') end
local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if first[2] and not attributes[1] then redis.call('ZADD', marker, tonumber(first[2]) / 0x1000, '1') end
return outcomes
