// Who is asking, and may they: OPS_TOKEN as Bearer token or Basic password, compared in constant time.
//
// Without a token (then the listener is on loopback, config.ts sees to that) everybody who reaches it may do
// everything, but only under a loopback name: else a page of a stranger's could reach it by DNS rebinding. What changes
// something must not come from another site's page: browsers send Basic credentials along by themselves.
import { hash, timingSafeEqual } from 'node:crypto';
import { isLoopback } from '../../config/config.ts';
import type { OpsToken, Right } from '../../config/ops-tokens.ts';
import { grants, type Need } from './permissions.ts';

export interface Principal {
  /** Stands in the audit log. */
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
  /** It changes something. */
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
    const principal = known.length === 0 ? anybody : principalOf(asking.authorization);
    if (principal === undefined) return { kind: 'unauthorized' };
    if (known.length === 0 && !isLoopback(hostName(asking.host))) return { kind: 'forbidden', reason: 'host' };
    if (!grants(principal.may, wanted.need)) return { kind: 'forbidden', reason: principal.may };
    if (wanted.changes && isCrossSite(asking)) return { kind: 'forbidden', reason: 'cross-site' };
    return { kind: 'allowed', principal };
  };
}

const anybody: Principal = { name: 'local', may: 'everything' };

/** The Bearer token, or the password of Basic; '' where there is neither, which no token equals. */
function presentedToken(authorization: string | undefined): string {
  const match = /^(bearer|basic)\s+(\S+)\s*$/i.exec(authorization ?? '');
  if (match?.[2] === undefined) return '';
  if (match[1]?.toLowerCase() === 'bearer') return match[2];
  const login = Buffer.from(match[2], 'base64').toString('utf8');
  return login.slice(login.indexOf(':') + 1);
}

/**
 * A browser says where a request comes from: Sec-Fetch-Site where the page is trustworthy (https or localhost), Origin
 * on every POST. A program sends neither.
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
