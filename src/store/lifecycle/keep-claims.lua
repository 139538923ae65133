--[[
  Prolongs what belongs to the claims of some jobs: claim, conflicts, and the keys that lead to them by the merchant's reference
  and by other statuses. An expired claim is rebuilt from the job. A job that is gone by now is skipped.

  KEYS[1] any key of the brand
  ARGV[1] base ("prefix:queue")  [2] claim ttl, ms  [3] merchant reference ttl, ms
  then 6 per job: [+1] job id  [+2] its rebuilt claim  [+3] sequence  [+4] merchant reference digest or ''
  [+5] reference digest, '' for the terminal kind  [+6] its status, as the claim holds it
]]
local base, claimTtl, merchantTtl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function live(key, ttl)
  local left = redis.call('PTTL', key)
  if left >= 0 and left < ttl then redis.call('PEXPIRE', key, ttl) end
end

local function note(key, field, value, ttl)
  local isNew = redis.call('EXISTS', key) == 0
  redis.pcall('HSET', key, field, value)
  if isNew then redis.call('PEXPIRE', key, ttl) else live(key, ttl) end
end

for at = 3, #ARGV - 6, 6 do
  local id, newClaim, sequence = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local merchantDigest, referenceDigest, status = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local digest = string.match(id, '^(.*)%.') or ''
  if redis.call('EXISTS', base .. ':' .. id) == 1 then
    local claimKey = base .. '/c:' .. digest
    local claim = redis.pcall('GET', claimKey)
    local holder = type(claim) == 'string' and tonumber(string.match(claim, '^[^,]*,(%d+),') or nil)
    -- If an original and its correction both exist, the correction holds the claim.
    if not holder or holder < sequence then redis.call('SET', claimKey, newClaim, 'PX', claimTtl) end
    live(claimKey, claimTtl)
    live(base .. '/x:' .. digest, claimTtl)
    live(base .. '/t:' .. digest, claimTtl)
    if merchantDigest ~= '' then note(base .. '/m:' .. merchantDigest, digest, '', merchantTtl) end
    if referenceDigest ~= '' then note(base .. '/o:' .. referenceDigest, status, digest, claimTtl) end
  end
end
