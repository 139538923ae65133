// FORWARD_CERT_FILE, FORWARD_KEY_FILE, FORWARD_CA_FILE, by brand: a client certificate, and a private certificate authority,
// for endpoints that need them.
import { createSecureContext } from 'node:tls';
import { couldBe, defaultBrand, groupByBrand, parseBrandValues } from './brand-values.ts';
import { readTextFile } from './read-text-file.ts';

/** Paths of PEM files. They are read again when they change, since certificates are renewed. */
export interface ClientTls {
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly caFile?: string;
}

export interface ClientTlsVariables {
  readonly FORWARD_CERT_FILE?: string | undefined;
  readonly FORWARD_KEY_FILE?: string | undefined;
  readonly FORWARD_CA_FILE?: string | undefined;
}

interface Forwarding {
  readonly name: string;
  readonly forwardUrl: string | undefined;
}

/** By brand, for the brands that have any: the brand's own files, else those without a brand. */
export function clientTlsOf(
  variables: ClientTlsVariables,
  brands: readonly Forwarding[],
  problems: string[],
): ReadonlyMap<string, ClientTls> {
  const files = (variable: keyof ClientTlsVariables) => filesOf(variable, variables[variable] ?? '', brands, problems);
  const [certs, keys, authorities] = [files('FORWARD_CERT_FILE'), files('FORWARD_KEY_FILE'), files('FORWARD_CA_FILE')];
  const found = new Map<string, ClientTls>();
  for (const { name, forwardUrl } of brands) {
    const [certFile, keyFile, caFile] = [certs(name), keys(name), authorities(name)];
    if (certFile === undefined && keyFile === undefined && caFile === undefined) continue;
    const tls = { ...(certFile && { certFile }), ...(keyFile && { keyFile }), ...(caFile && { caFile }) };
    const problem = problemOf(tls, name, forwardUrl);
    if (problem === undefined) found.set(name, tls);
    else problems.push(problem);
  }
  return found;
}

function filesOf(variable: string, text: string, brands: readonly Forwarding[], problems: string[]) {
  const groups = groupByBrand(parseBrandValues(text, couldBe.file));
  for (const [brand, files] of groups) {
    if (files.length > 1) problems.push(`${variable}: the brand ${brand} has ${files.length} files; one is needed`);
    if (brand !== defaultBrand && !brands.some(({ name }) => name === brand))
      problems.push(`${variable}: there is no brand ${brand}; there is ${brands.map(({ name }) => name).join(', ')}`);
  }
  return (brand: string) => (groups.get(brand) ?? groups.get(defaultBrand))?.[0];
}

/** One sentence; undefined if the files are usable. */
function problemOf(tls: ClientTls, brand: string, url: string | undefined): string | undefined {
  const { certFile, keyFile } = tls;
  const whose = brand === defaultBrand ? '' : ` of the brand ${brand}`;
  if (certFile !== undefined && keyFile === undefined)
    return `FORWARD_KEY_FILE${whose}: is needed beside FORWARD_CERT_FILE`;
  if (certFile === undefined && keyFile !== undefined)
    return `FORWARD_CERT_FILE${whose}: is needed beside FORWARD_KEY_FILE`;
  if (url?.startsWith('http:') === true)
    return `FORWARD_URL${whose}: begins with http:, so no certificate is ever asked for or checked; use https: or unset the files`;
  for (const [variable, field] of fields) {
    const file = tls[field];
    const problem = file === undefined ? undefined : fileProblem(field, file);
    if (problem !== undefined) return `${variable}${whose}: ${problem}`;
  }
  return certFile !== undefined &&
    keyFile !== undefined &&
    !isUsable({ cert: readTextFile(certFile), key: readTextFile(keyFile) })
    ? `FORWARD_KEY_FILE${whose}: ${keyFile} is not the key of the certificate in ${certFile}`
    : undefined;
}

const fields = [
  ['FORWARD_CERT_FILE', 'certFile'],
  ['FORWARD_KEY_FILE', 'keyFile'],
  ['FORWARD_CA_FILE', 'caFile'],
] as const;

function fileProblem(field: keyof ClientTls, file: string): string | undefined {
  let pem;
  try {
    pem = readTextFile(file);
  } catch (error) {
    return `${file} cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'})`;
  }
  const option = { certFile: { cert: pem }, keyFile: { key: pem }, caFile: { ca: pem } }[field];
  const isPem = pem.includes('-----BEGIN ') && isUsable(option);
  return isPem ? undefined : `${file} is not a PEM file with a ${field === 'keyFile' ? 'private key' : 'certificate'}`;
}

function isUsable(options: { cert?: string; key?: string; ca?: string }): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}
