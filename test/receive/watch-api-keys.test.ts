// PAYALO_API_KEYS_FILE while the service runs: only a file that holds keys changes what is accepted.
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createApiKeys } from '../../src/receive/api-keys.ts';
import { watchApiKeys } from '../../src/receive/watch-api-keys.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const first = 'first-key-0123456789';
const second = 'second-key-0123456789';

test('a missing, empty or invalid file keeps the known keys and is logged; the next valid one applies', async () => {
  const file = path.join(await makeTempDir('watched-keys'), 'keys');
  writeFileSync(file, first);
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  const apiKeys = createApiKeys(new Map([['default', [first]]]));
  const stop = watchApiKeys({ file, apiKeys, brands: new Set(['default']), log });
  const told = async (event: string, times: number) => {
    await until(() => lines.filter((line) => line['event'] === event).length === times, { timeoutMs: 10_000 });
    return lines.findLast((line) => line['event'] === event);
  };

  rmSync(file);
  expect(await told('api_keys.kept', 1)).toMatchObject({ problems: [expect.stringContaining('unreadable')] });
  writeFileSync(file, 'short');
  expect(JSON.stringify((await told('api_keys.kept', 2))?.['problems'])).toMatch(/16 characters/);
  expect(apiKeys.brandOf(first)).toBe('default');
  expect(JSON.stringify(lines)).not.toContain('short"');

  writeFileSync(file, `${second}, acme=key-of-acme-0123456789`);
  expect(await told('api_keys.changed', 1)).toMatchObject({
    brands: [
      { brand: 'default', keys: 1 },
      { brand: 'acme', keys: 1 },
    ],
  });
  expect([first, second, 'key-of-acme-0123456789'].map((key) => apiKeys.brandOf(key))).toEqual([
    undefined,
    'default',
    'acme',
  ]);
  expect(lines.filter(({ event }) => event === 'api_keys.new_brand')).toMatchObject([{ brands: ['acme'] }]);
  stop();
});
