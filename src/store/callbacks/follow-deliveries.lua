--[[
  Records deliveries by the merchant's own workers, from BullMQ's stream of events, which holds about the last ten thousand. Reads
  a step of the stream, from where the last call stopped.

  Reads nothing if nothing can be new: no job of the index is missing from the queue, and the last completed job's claim has its
  record (the built-in worker writes it itself).

  KEYS[1] followed  [2] events  [3] completed  [4] failed  [5] delayed  [6] prioritized  [7] wait  [8] active
      [9...] the index's parts
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] '1' to read whatever there is  [4] events per step
       [5] the return value of a superseded job
  Returns 1 if more events remain, else 0.
]]
local base, now, readAll, step, superseded = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4]), ARGV[5]
-- The built-in worker may record a delivery this much later than the job completes.
local recordedWithinMs = 5000

local function isJobMissing()
  local queued = redis.call('LLEN', KEYS[7]) + redis.call('LLEN', KEYS[8])
  for place = 3, 6 do queued = queued + redis.call('ZCARD', KEYS[place]) end
  local known = 0
  for part = 9, #KEYS do known = known + redis.call('ZCARD', KEYS[part]) end
  return known > queued
end

local function isLatestRecorded()
  local latest =
    redis.call('ZREVRANGEBYSCORE', KEYS[3], now - recordedWithinMs, '-inf', 'LIMIT', 0, 1)[1]
  if not latest then return true end
  local key, noted = claimOf(base, latest)
  return not key or noted ~= ''
end

local function millisecondsOf(streamId)
  return tonumber(string.match(streamId, '^%d+'))
end

local latest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not latest then return 0 end
local after = redis.call('HGET', KEYS[1], 'event')
if after == latest[1] then return 0 end
if not readAll and not isJobMissing() and isLatestRecorded() then return 0 end
-- The stream was recreated while the clock was behind.
if after and millisecondsOf(after) > millisecondsOf(latest[1]) then after = nil end

local entries = redis.call('XRANGE', KEYS[2], after and '(' .. after or '-', '+', 'COUNT', step)
for _, entry in ipairs(entries) do
  local fields = entry[2]
  if fields[2] == 'completed' then
    local jobId, returned = fields[4], fields[6]
    if returned ~= superseded then
      noteDelivered(base, jobId, toBase36(millisecondsOf(entry[1])))
      noteLast(KEYS[1], millisecondsOf(entry[1]))
      -- Whoever removed the job left its index entry.
      if redis.call('EXISTS', base .. ':' .. jobId) == 0 then
        for part = 9, #KEYS do redis.call('ZREM', KEYS[part], jobId) end
      end
    end
  end
end
if #entries == 0 then return 0 end
redis.call('HSET', KEYS[1], 'event', entries[#entries][1])
return #entries == step and 1 or 0
