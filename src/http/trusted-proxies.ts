// Whose forwarded headers are believed: the addresses and CIDRs of TRUST_PROXY. One answer for all of them, so that the
// client's address and the request id cannot be taken from different senders.
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, SocketAddress } from 'node:net';

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

/** What is read of a request. */
export interface ForwardedRequest {
  readonly headers: IncomingMessage['headers'];
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * The client's address: of `X-Forwarded-For`, from its end, the first that is no trusted proxy's. Without a port, and in
 * one spelling for each address, since failures are counted by it. Where a proxy names nothing that is an address, it
 * is the proxy's own.
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
 * What failures are counted by: an IPv4 address, or the /64 of an IPv6 one, within which a single client has as many
 * addresses as it likes.
 *
 * @param address as of `clientAddress`
 */
export function clientNetwork(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = [], tail] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const missing = tail === undefined ? 0 : 8 - head.length - tail.length;
  return `${[...head, ...Array<string>(missing).fill('0'), ...(tail ?? [])].slice(0, 4).join(':')}::/64`;
}

/** `203.0.113.8:40000`, `[2001:db8::1]:443`, quotes and zones are what proxies add to an address. */
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
