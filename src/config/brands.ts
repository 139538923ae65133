// Builds the brands of a deployment from the five per-brand variables.
//
// A brand without a FORWARD_URL, FORWARD_SECRET or GATEWAY_BASE_URL of its own uses the one of the brand `default`.
// Keys are never shared between brands: a brand's gateway key is its own GATEWAY_API_KEY, else its PAYALO_API_KEYS.
import * as z from 'zod';
import { couldBe, defaultBrand, groupByBrand, parseBrandValues } from './brand-values.ts';
import { clientTlsOf, type ClientTls, type ClientTlsVariables } from './client-tls.ts';
import { confirmModesOf, type ConfirmMode } from './confirm-modes.ts';
import type { Role } from './role-names.ts';
import { readTextFile } from './read-text-file.ts';
import { isWebhookSecret, webhookSecretRule } from './webhook-secret.ts';

// An import of node:http would also load Node's own undici (15 ms, 6 MB), since the import reads every export.
const { validateHeaderName, validateHeaderValue } = process.getBuiltinModule('node:http');

export interface Brand {
  readonly name: string;
  /** Keys that the gateway may send; several during a rotation. */
  readonly apiKeys: readonly string[];
  readonly forwardUrl: string | undefined;
  readonly forwardSecrets: readonly string[];
  readonly forwardHeaders: Readonly<Record<string, string>>;
  readonly gatewayBaseUrl: string | undefined;
  /** Tried in turn. */
  readonly gatewayApiKeys: readonly string[];
  /** Whether and when the gateway is asked to confirm a callback. */
  readonly confirm: ConfirmMode;
  /** TLS files for the connection to FORWARD_URL. */
  readonly forwardTls: ClientTls | undefined;
}

export interface BrandVariables extends ClientTlsVariables {
  readonly PAYALO_API_KEYS?: string | undefined;
  readonly FORWARD_URL?: string | undefined;
  readonly FORWARD_SECRET?: string | undefined;
  readonly FORWARD_HEADERS_FILE?: string | undefined;
  readonly GATEWAY_API_KEY?: string | undefined;
  readonly GATEWAY_BASE_URL?: string | undefined;
  readonly CONFIRM?: string | undefined;
}

interface Building {
  readonly production: boolean;
  readonly roles: ReadonlySet<Role>;
  readonly problems: string[];
}

export const productionGateway = 'https://api.payalo.com/gateway/mmo/v2';

const headerObject = z.record(z.string(), z.string());
const headersFile = z.union([headerObject, z.record(z.string(), headerObject)]);

export function buildBrands(
  variables: BrandVariables,
  { production, roles, problems }: Building,
): ReadonlyMap<string, Brand> {
  const apiKeys = parseApiKeys(variables.PAYALO_API_KEYS ?? '', problems);
  const forwardUrls = parseUrls('FORWARD_URL', variables.FORWARD_URL ?? '', problems);
  const secrets = parseSecrets(variables.FORWARD_SECRET ?? '', problems);
  const gatewayUrls = parseUrls('GATEWAY_BASE_URL', variables.GATEWAY_BASE_URL ?? '', problems);
  const gatewayKeys = groupByBrand(parseBrandValues(variables.GATEWAY_API_KEY ?? '', couldBe.key));
  const headers = readForwardHeaders(variables.FORWARD_HEADERS_FILE, problems);
  const named = [apiKeys, forwardUrls, secrets, gatewayUrls, gatewayKeys].flatMap((group) => [...group.keys()]);
  // `default` is a brand only if it has keys, or if PAYALO_API_KEYS has none; otherwise it just holds fallbacks.
  const real = [...new Set(named)].filter(
    (name) => name !== defaultBrand || apiKeys.has(defaultBrand) || apiKeys.size === 0,
  );
  const names = real.length === 0 ? [defaultBrand] : real;
  const brands = names.map((name) => ({
    name,
    apiKeys: apiKeys.get(name) ?? [],
    forwardUrl: shared(forwardUrls, name),
    forwardSecrets: shared(secrets, name) ?? [],
    forwardHeaders: headers(name, forwardUrls.has(name)),
    gatewayBaseUrl: shared(gatewayUrls, name) ?? (production ? productionGateway : undefined),
    gatewayApiKeys: gatewayKeys.get(name) ?? apiKeys.get(name) ?? [],
  }));
  const modes = confirmModesOf(variables.CONFIRM ?? '', brands, { roles, problems });
  const tls = clientTlsOf(variables, brands, problems);
  return new Map(
    brands.map((brand) => [
      brand.name,
      { ...brand, confirm: modes.get(brand.name) ?? 'off', forwardTls: tls.get(brand.name) },
    ]),
  );
}

function shared<T>(group: ReadonlyMap<string, T>, name: string): T | undefined {
  return group.get(name) ?? group.get(defaultBrand);
}

/** PAYALO_API_KEYS by brand. Also called when the keys' file changes. */
export function parseApiKeys(text: string, problems: string[]): Map<string, string[]> {
  const items = parseBrandValues(text, couldBe.key);
  for (const [index, { value }] of items.entries()) {
    if (value.length < 16) problems.push(`PAYALO_API_KEYS: key ${index + 1} is shorter than 16 characters`);
    // No header can carry such a key, so every callback would be refused.
    if (/\p{Cc}/u.test(value)) problems.push(`PAYALO_API_KEYS: key ${index + 1} holds a line break; use commas`);
  }
  const owners = new Map<string, string>();
  for (const { brand, value } of items) {
    const owner = owners.get(value);
    if (owner !== undefined && owner !== brand) {
      problems.push(
        `PAYALO_API_KEYS: the brands ${owner} and ${brand} share a key, so their callbacks could not be told apart`,
      );
    }
    owners.set(value, brand);
  }
  return groupByBrand(items);
}

function parseUrls(variable: string, text: string, problems: string[]): Map<string, string> {
  const groups = groupByBrand(parseBrandValues(text, couldBe.url));
  for (const [brand, urls] of groups) {
    if (urls.length > 1) problems.push(`${variable}: the brand ${brand} has ${urls.length} URLs; one is needed`);
    if (!urls.every(isHttpUrl))
      problems.push(`${variable}: the value of the brand ${brand} is not an http or https URL`);
  }
  return new Map([...groups].map(([brand, urls]) => [brand, urls[0] ?? '']));
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:');
}

function parseSecrets(text: string, problems: string[]): Map<string, string[]> {
  const groups = groupByBrand(parseBrandValues(text, couldBe.secret));
  for (const [brand, secrets] of groups) {
    if (!secrets.every(isWebhookSecret)) {
      problems.push(`FORWARD_SECRET: a secret of the brand ${brand} ${webhookSecretRule}`);
    }
  }
  return groups;
}

type HeadersOf = (brand: string, hasOwnUrl: boolean) => Readonly<Record<string, string>>;

/** Plain headers go to every endpoint; a brand's headers go only to its own endpoint, since they may be credentials. */
function readForwardHeaders(file: string | undefined, problems: string[]): HeadersOf {
  if (file === undefined) return () => ({});
  const parsed = headersFile.safeParse(readJson(file));
  if (!parsed.success) {
    problems.push(
      'FORWARD_HEADERS_FILE: must be a readable JSON file: an object of header to value, or of brand to such an object',
    );
    return () => ({});
  }
  const flat = headerObject.safeParse(parsed.data);
  const byBrand = flat.success ? {} : z.record(z.string(), headerObject).parse(parsed.data);
  const all = flat.success ? [flat.data] : Object.values(byBrand);
  for (const [name, value] of all.flatMap((headers) => Object.entries(headers))) {
    if (!isHeader(name, value)) {
      problems.push(`FORWARD_HEADERS_FILE: ${JSON.stringify(name.slice(0, 60))} is not a valid header`);
    }
  }
  if (flat.success) return () => flat.data;
  return (brand, hasOwnUrl) => byBrand[hasOwnUrl ? brand : defaultBrand] ?? byBrand[brand] ?? {};
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readTextFile(file));
  } catch {
    return undefined;
  }
}
