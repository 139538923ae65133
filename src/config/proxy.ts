// Chooses the egress proxy for a URL: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl and most clients read them.
//
// Pure. NO_PROXY takes host names, including their subdomains (`shop.example`, `.shop.example`, `*.shop.example`),
// addresses and CIDRs, each with an optional port, and `*`. A loopback destination is called directly unless the proxy is
// on loopback too: a proxy elsewhere would connect to its own machine.
import { BlockList, isIP } from 'node:net';
import * as z from 'zod';

export interface ProxySettings {
  readonly HTTP_PROXY?: string | undefined;
  readonly HTTPS_PROXY?: string | undefined;
  readonly NO_PROXY?: string | undefined;
}

/** The proxy's URL; undefined if the destination is called directly. */
export function proxyFor(destination: string, settings: ProxySettings): string | undefined {
  const url = new URL(destination);
  const proxy = url.protocol === 'https:' ? settings.HTTPS_PROXY : settings.HTTP_PROXY;
  if (proxy === undefined) return undefined;
  const host = hostOf(url.hostname);
  if (isLoopbackHost(host) && !isLoopbackHost(hostOf(new URL(proxy).hostname))) return undefined;
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  const exempt = (settings.NO_PROXY ?? '').split(/[,\s]+/).filter((entry) => entry !== '');
  return exempt.some((entry) => matches(entry, host, port)) ? undefined : proxy;
}

/** HTTP_PROXY and HTTPS_PROXY. The message does not repeat the value, which may hold a password. */
export const proxyVariable = z
  .string()
  .optional()
  .transform((value, context) => {
    if (value === undefined) return undefined;
    const proxy = parseProxyUrl(value);
    if (proxy !== undefined) return proxy;
    context.addIssue({ code: 'custom', message: 'must be an http:// or https:// URL, such as http://proxy:3128' });
    return z.NEVER;
  });

/** As configured; without a scheme it means `http://`, as for curl. Undefined if it cannot be a proxy's URL. */
function parseProxyUrl(text: string): string | undefined {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') ? url.href : undefined;
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  const { name, port: onlyPort } = splitPort(entry);
  if (onlyPort !== undefined && onlyPort !== port) return false;
  if (name === '*') return true;
  if (isIP(host) !== 0) return isAddressIn(host, name);
  const domain = name.replace(/^\*?\./, '');
  if (domain === '') return false;
  return host.endsWith(`.${domain}`) || (host === domain && !name.startsWith('*.'));
}

/** `name:8080` and `[::1]:8080`; a bare IPv6 address has no port. */
function splitPort(entry: string): { name: string; port: number | undefined } {
  const parts = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(entry);
  const name = parts === null ? entry : (parts[1] ?? parts[2] ?? '');
  return { name: hostOf(name), port: parts?.[3] === undefined ? undefined : Number(parts[3]) };
}

function isAddressIn(host: string, range: string): boolean {
  const [address = '', bits] = range.split('/');
  const family = isIP(address);
  if (family === 0) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const most = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > most) return false;
  const list = new BlockList();
  list.addSubnet(address, prefix, type);
  return list.check(host, isIP(host) === 4 ? 'ipv4' : 'ipv6');
}

function hostOf(name: string): string {
  return name
    .replace(/^\[(.+)\]$/, '$1')
    .replace(/(.)\.$/, '$1')
    .toLowerCase();
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
