--[[
  A built-in worker's report, about once a second: what it delivered, and which jobs it holds.

  A delivery is recorded even if the job is gone: the merchant has answered.

  KEYS[1] in hand  [2] followed
  ARGV[1] base ("prefix:queue")  [2] now, ms  [3] number of deliveries  [4] number of jobs that are no longer held
  then per delivery: job id, time of delivery in base 36 ms; then the ids of the jobs no longer held, and of those held
]]
local base, now = ARGV[1], ARGV[2]
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  noteDelivered(base, ARGV[at + 1], ARGV[at + 2])
  at = at + 2
end
for _ = 1, tonumber(ARGV[4]) do
  at = at + 1
  redis.call('ZREM', KEYS[1], ARGV[at])
end
takeLease(KEYS[1], { unpack(ARGV, at + 1) })
if tonumber(ARGV[3]) > 0 then noteLast(KEYS[2], now) end
dropEnded(KEYS[1])
