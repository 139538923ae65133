// Authentication and authorization: OPS_TOKEN as Bearer token or Basic password, compared in constant time.
//
// Without a token (config.ts then requires a loopback listener) everyone who reaches it may do everything, but only under a
// loopback name: otherwise a stranger's web page could reach it by DNS rebinding. Requests that change something must not
// come from another site's page, since browsers send Basic credentials automatically.
import { hash, timingSafeEqual } from 'node:crypto';
import { isLoopback } from '../../config/config.ts';
import type { OpsToken, Right } from '../../config/ops-tokens.ts';
import { grants, type Need } from './permissions.ts';

export interface Principal {
  /** Appears in the audit trail. */
  readonly name: string;
  readonly may: Right;
}

export interface Asking {
  readonly authorization: string | undefined;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
}

export type Authorization =
  | { readonly kind: 'allowed'; readonly principal: Principal }
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'forbidden'; readonly reason: Right | 'host' | 'cross-site' };

export interface Wanted {
  /** Whether the request changes something. */
  readonly changes: boolean;
  readonly need: Need;
}

export function createAuthorize(tokens: readonly OpsToken[]) {
  const known = tokens.map(({ name, may, token }) => ({ principal: { name, may }, digest: digest(token) }));

  function principalOf(authorization: string | undefined): Principal | undefined {
    const given = digest(presentedToken(authorization));
    let found: Principal | undefined;
    for (const { principal, digest: expected } of known) {
      if (timingSafeEqual(given, expected)) found = principal; // no early exit
    }
    return found;
  }

  return function authorize(asking: Asking, wanted: Wanted): Authorization {
    const principal = known.length === 0 ? localPrincipal : principalOf(asking.authorization);
    if (principal === undefined) return { kind: 'unauthorized' };
    if (known.length === 0 && !isLoopback(hostName(asking.host))) return { kind: 'forbidden', reason: 'host' };
    if (!grants(principal.may, wanted.need)) return { kind: 'forbidden', reason: principal.may };
    if (wanted.changes && isCrossSite(asking)) return { kind: 'forbidden', reason: 'cross-site' };
    return { kind: 'allowed', principal };
  };
}

const localPrincipal: Principal = { name: 'local', may: 'everything' };

/** The Bearer token or the Basic password; '' if there is neither, which matches no token. */
function presentedToken(authorization: string | undefined): string {
  const match = /^(bearer|basic)\s+(\S+)\s*$/i.exec(authorization ?? '');
  if (match?.[2] === undefined) return '';
  if (match[1]?.toLowerCase() === 'bearer') return match[2];
  const login = Buffer.from(match[2], 'base64').toString('utf8');
  return login.slice(login.indexOf(':') + 1);
}

/**
 * Browsers tell where a request comes from: with Sec-Fetch-Site if the page is trustworthy (https or localhost), with Origin
 * on every POST. Programs send neither.
 */
function isCrossSite({ fetchSite, origin, host }: Asking): boolean {
  if (fetchSite !== undefined) return fetchSite !== 'same-origin';
  if (origin === undefined) return false;
  const url = URL.parse(origin);
  return url === null || url.host !== (host ?? '').toLowerCase();
}

function hostName(host: string | undefined): string {
  return (host ?? '')
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
}

function digest(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}
