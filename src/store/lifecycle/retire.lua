--[[
  Removes finished jobs of one state with everything that belongs to them, and notes in their claims how they ended, so that the
  claims still answer. A job that left the set meanwhile, or finished again later, stays.

  KEYS[1] completed, failed or held  [2] index success  [3] index failed  [4] index other
  ARGV[1] base ("prefix:queue")  [2] the latest finishing time to remove, ms
  then 4 per job: [+1] job id  [+2] merchant reference digest or ''  [+3] state  [+4] delivered at, base 36, or ''
  Returns how many were removed.
]]
local base, upTo = ARGV[1], tonumber(ARGV[2])
local removed = 0

for at = 2, #ARGV - 4, 4 do
  local id, merchantDigest, state, deliveredAt = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score and tonumber(score) <= upTo then
    local digest = string.match(id, '^(.*)%.') or ''
    local nonce = string.sub(id, #digest + 1)
    local job = base .. ':' .. id
    redis.call('ZREM', KEYS[1], id)
    redis.call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
      job .. ':unsuccessful')
    for part = 2, 4 do redis.call('ZREM', KEYS[part], id) end
    local claimKey = base .. '/c:' .. digest
    local claim = redis.pcall('GET', claimKey) -- an error if it has the wrong type
    if type(claim) ~= 'string' then claim = nil end
    local own, rest = string.match(claim or '', '^([^,]*)(,%d+,%d+,[^,]*,[^,]*,[^,]*)')
    if own == nonce then
      redis.call('SET', claimKey, own .. rest .. ',' .. state .. ',' .. deliveredAt, 'KEEPTTL')
    end
    -- A replaced job leaves the merchant's reference to its correction.
    if merchantDigest ~= '' and (not claim or own == nonce) then
      redis.call('HDEL', base .. '/m:' .. merchantDigest, digest)
    end
    removed = removed + 1
  end
end
return removed
