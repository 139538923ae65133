// Applies a changed PAYALO_API_KEYS_FILE without a restart, so that a key rotation refuses no callback.
//
// The file is polled by path: container platforms replace secrets by swapping links, which watching the file itself would
// miss. A file that became unreadable or invalid changes nothing, and is logged.
import { unwatchFile, watchFile } from 'node:fs';
import { parseApiKeys } from '../config/brands.ts';
import type { Log } from '../telemetry/log.ts';
import { readTextFile } from '../config/read-text-file.ts';
import type { ApiKeys } from './api-keys.ts';

const pollMs = 1_000;

export interface WatchedApiKeys {
  readonly file: string;
  readonly apiKeys: ApiKeys;
  /** The brands that the service was started with. */
  readonly brands: ReadonlySet<string>;
  readonly log: Log;
}

/** Starts watching; returns the function that stops it. */
export function watchApiKeys({ file, apiKeys, brands: known, log }: WatchedApiKeys): () => void {
  const onChange = () => {
    const problems: string[] = [];
    const text = read(file);
    const keys = parseApiKeys(text ?? '', problems);
    if (text === undefined || keys.size === 0) problems.push('PAYALO_API_KEYS_FILE: is unreadable or contains no key');
    if (problems.length > 0) {
      log.error({ event: 'api_keys.kept', file, problems });
      return;
    }
    apiKeys.replace(keys);
    log.info({
      event: 'api_keys.changed',
      file,
      brands: [...keys].map(([brand, { length }]) => ({ brand, keys: length })),
    });
    const brands = [...keys.keys()].filter((brand) => !known.has(brand));
    const hint = 'Their callbacks are taken and queued; workers and reconcilers know a brand from their start on.';
    if (brands.length > 0) log.warn({ event: 'api_keys.new_brand', brands, hint });
  };
  watchFile(file, { interval: pollMs, persistent: false }, onChange);
  return () => unwatchFile(file, onChange);
}

function read(file: string): string | undefined {
  try {
    return readTextFile(file).trim();
  } catch {
    return undefined;
  }
}
