--[[
  Put before scripts that hold what was paid otherwise than ordered.

  Both amounts are JSON texts of one form, so equal amounts are equal texts (callback/amount-check.ts). In the body the
  quotes of the names would be escaped. A correction takes back what the merchant believes, so it is never held, unless it is
  the first that workers see of it ("isUnseen").
]]
local function isPaidOtherwise(data, expected, isUnseen)
  local function has(text) return string.find(data, text, 1, true) end
  if not has('"status":"success"') or has('"finalAmount":null') then return false end
  if has('"sequence":') and not isUnseen then return false end
  return not has('"finalAmount":' .. expected .. ',')
end

