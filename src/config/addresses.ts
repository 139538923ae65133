// Parses a list of IP addresses and CIDRs, as in TRUST_PROXY.
import { isIP } from 'node:net';
import * as z from 'zod';

export const addressesVariable = z.string().default('').transform(toAddresses);

function toAddresses(value: string, context: z.RefinementCtx): string[] {
  const addresses = value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const wrong = addresses.find((item) => !isAddressOrCidr(item));
  if (wrong === undefined) return addresses;
  const shown = JSON.stringify(wrong.slice(0, 60));
  context.addIssue({
    code: 'custom',
    message: `must be IP addresses or CIDRs separated by commas; ${shown} is not one`,
  });
  return z.NEVER;
}

function isAddressOrCidr(item: string): boolean {
  const [address = '', bits, ...more] = item.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
