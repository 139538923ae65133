--[[
  Prepended to scripts that hold callbacks whose amount differs from the ordered one.

  Both amounts are JSON texts in one form, so equal amounts are equal texts (callback/amount-check.ts). Inside the body the
  quotes are escaped, so nothing there matches. A correction fixes what the merchant believes, so it is never held, unless
  workers have seen nothing before it ("isUnseen").
]]
local function isPaidOtherwise(data, expected, isUnseen)
  local function has(text) return string.find(data, text, 1, true) end
  if not has('"status":"success"') or has('"finalAmount":null') then return false end
  if has('"sequence":') and not isUnseen then return false end
  return not has('"finalAmount":' .. expected .. ',')
end

