// The keys to ask the gateway with. Where they are the accepted ones (no GATEWAY_API_KEY of its own) and those come from
// PAYALO_API_KEYS_FILE, a changed file counts at once, as it does for the receiver: a rotation must not stop the sweeps.
import { readFileSync } from 'node:fs';
import { parseApiKeys, type Brand } from '../../config/brands.ts';

const readEveryMs = 1_000;

export interface GatewayKeysOptions {
  readonly brand: Pick<Brand, 'name' | 'apiKeys' | 'gatewayApiKeys'>;
  readonly apiKeysFile: string | undefined;
  /** Milliseconds on a clock that nobody sets. */
  readonly elapsed: () => number;
}

/** The keys as they are now; those known before where the file is unreadable or has none for the brand. */
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
    return undefined; // said by the receiver, which watches it
  }
}
