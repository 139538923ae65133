// The keys for calls to the gateway. If they are the accepted keys (no GATEWAY_API_KEY) and come from PAYALO_API_KEYS_FILE, a
// changed file applies at once, as for the receiver: a rotation must not stop the sweeps.
import { readFileSync } from 'node:fs';
import { parseApiKeys, type Brand } from '../../config/brands.ts';

const readEveryMs = 1_000;

export interface GatewayKeysOptions {
  readonly brand: Pick<Brand, 'name' | 'apiKeys' | 'gatewayApiKeys'>;
  readonly apiKeysFile: string | undefined;
  /** Monotonic milliseconds. */
  readonly elapsed: () => number;
}

/** The current keys; the previous ones if the file is unreadable or has none for the brand. */
export function createGatewayKeys({ brand, apiKeysFile, elapsed }: GatewayKeysOptions): () => readonly string[] {
  const areAccepted = brand.gatewayApiKeys.every((key) => brand.apiKeys.includes(key));
  if (apiKeysFile === undefined || !areAccepted) return () => brand.gatewayApiKeys;
  let keys = brand.gatewayApiKeys;
  let readAtMs = -Infinity;
  return () => {
    if (elapsed() < readAtMs + readEveryMs) return keys;
    readAtMs = elapsed();
    keys = readKeys(apiKeysFile, brand.name) ?? keys;
    return keys;
  };
}

function readKeys(file: string, brand: string): readonly string[] | undefined {
  try {
    const problems: string[] = [];
    const keys = parseApiKeys(readFileSync(file, 'utf8').trim(), problems).get(brand);
    return problems.length === 0 ? keys : undefined;
  } catch {
    return undefined; // logged by the receiver, which watches the file
  }
}
