--[[
  Put before scripts that hold what was paid otherwise than ordered.

  Both amounts are JSON texts of one form, so equal amounts are equal texts (callback/amount-check.ts). In the body the
  quotes of the names would be escaped. A correction takes back what the merchant believes: it is never held.
]]
local function isPaidOtherwise(data, expected)
  local function has(text) return string.find(data, text, 1, true) end
  if not has('"status":"success"') or has('"finalAmount":null') or has('"sequence":') then return false end
  return not has('"finalAmount":' .. expected .. ',')
end

