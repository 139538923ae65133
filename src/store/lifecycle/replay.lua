--[[
  Puts one settled, held or retrying job back into the queue (requeue.lua, which stands before this).

  The claim does not change: a later duplicate from the gateway stays a duplicate. Earlier attempts are kept: the failed ones
  are in the job's log, and the successful one (the return value) is added to it. BullMQ's count (atm) restarts, so every kind
  of worker has its whole schedule again; the old count goes into attemptsBefore, so that payalo-attempt continues.

  KEYS[1] claim  [2] job  [3] job log  [4] wait  [5] delayed  [6] completed  [7] failed  [8] meta  [9] active
  [10] events  [11] marker  [12] held
  ARGV[1] job id  [2] now, ms
  Returns 'replayed', 'not-found', 'gone', 'removed', 'superseded' or 'in-progress'.
]]
local job, jobId = KEYS[2], ARGV[1]

if redis.call('HEXISTS', job, 'data') == 0 then
  local claim = redis.call('GET', KEYS[1])
  if not claim then return 'not-found' end
  -- How the job ended follows the claim's six fields (claims.ts).
  return string.find(claim, '^[^,]*,%d+,%d+,[^,]*,[^,]*,[^,]*,') and 'gone' or 'removed'
end
if redis.call('HGET', job, 'superseded') == '1' then return 'superseded' end
if redis.call('HEXISTS', job, 'erased') == 1 then return 'gone' end -- its body is gone

local previous
for set, name in pairs({ [KEYS[5]] = 'delayed', [KEYS[6]] = 'completed', [KEYS[7]] = 'failed', [KEYS[12]] = 'held' }) do
  if redis.call('ZREM', set, jobId) == 1 then previous = name end
end
if not previous then return 'in-progress' end

local returned = redis.call('HGET', job, 'returnvalue')
if returned then
  local isJson, attempt = pcall(cjson.decode, returned)
  if isJson and type(attempt) == 'table' and attempt['attempt'] then redis.call('RPUSH', KEYS[3], returned) end
end
redis.call('HINCRBY', job, 'attemptsBefore', tonumber(redis.call('HGET', job, 'atm') or 0))
redis.call('HDEL', job, 'atm', 'returnvalue', 'failedReason', 'stacktrace', 'finishedOn', 'processedOn', 'defa', 'held')
redis.call('HSET', job, 'replayedAt', ARGV[2])
requeue({ job = job, wait = KEYS[4], meta = KEYS[8], active = KEYS[9], events = KEYS[10], marker = KEYS[11] }, jobId, previous)
return 'replayed'
