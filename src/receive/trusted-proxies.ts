// Whose forwarded headers are believed: the addresses and CIDRs of TRUST_PROXY. One answer for all of them, so that the
// client's address and the request id cannot be taken from different senders.
import { BlockList, isIP } from 'node:net';

/** @param trusted addresses and CIDRs, valid */
export function createTrustedProxies(trusted: readonly string[]): (address: string | undefined) => boolean {
  const proxies = new BlockList();
  for (const item of trusted) {
    const [address = '', bits] = item.split('/');
    if (bits === undefined) proxies.addAddress(address, familyOf(address));
    else proxies.addSubnet(address, Number(bits), familyOf(address));
  }
  return (address) => address !== undefined && isIP(address) !== 0 && proxies.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
