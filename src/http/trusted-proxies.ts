// Decides from TRUST_PROXY whose forwarded headers are trusted, in one place, so that the client's address and the request
// id always come from the same sender.
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, SocketAddress } from 'node:net';

/** @param trusted valid addresses and CIDRs */
export function createTrustedProxies(trusted: readonly string[]): (address: string | undefined) => boolean {
  const proxies = new BlockList();
  for (const item of trusted) {
    const [address = '', bits] = item.split('/');
    if (bits === undefined) proxies.addAddress(address, familyOf(address));
    else proxies.addSubnet(address, Number(bits), familyOf(address));
  }
  return (address) => address !== undefined && isIP(address) !== 0 && proxies.check(address, familyOf(address));
}

/** The parts of a request that are read. */
export interface ForwardedRequest {
  readonly headers: IncomingMessage['headers'];
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * The client's address: the last entry of `X-Forwarded-For` that is not a trusted proxy. Without a port and normalized,
 * since failures are counted by it. If a proxy sends no valid address, it is the proxy's own.
 */
export function clientAddress(
  { headers, socket }: ForwardedRequest,
  isTrusted: (address: string | undefined) => boolean,
): string {
  let address = plainAddress(socket.remoteAddress ?? '') ?? '';
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
  const named = forwarded.filter((entry) => entry.trim() !== '').map(plainAddress);
  while (isTrusted(address)) {
    const next = named.pop();
    if (next === undefined) return address;
    address = next;
  }
  return address;
}

/**
 * The key by which failures are counted: an IPv4 address, or the /64 of an IPv6 one, since a single client can use all
 * addresses of a /64.
 *
 * @param address from `clientAddress`
 */
export function clientNetwork(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = [], tail] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const missing = tail === undefined ? 0 : 8 - head.length - tail.length;
  return `${[...head, ...Array<string>(missing).fill('0'), ...(tail ?? [])].slice(0, 4).join(':')}::/64`;
}

/** Proxies add ports, quotes and zones: `203.0.113.8:40000`, `[2001:db8::1]:443`. */
function plainAddress(text: string): string | undefined {
  const bare = text.trim().replaceAll('"', '');
  const withoutPort = /^\[([^\]]*)\]/.exec(bare)?.[1] ?? /^(\d+\.[\d.]+):/.exec(bare)?.[1] ?? bare;
  const withoutZone = withoutPort.replace(/%.*$/s, '');
  if (isIP(withoutZone) === 0) return undefined;
  const { address } = new SocketAddress({ address: withoutZone, family: familyOf(withoutZone) });
  return /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
