// One start with a clock that is months ahead removes nothing that must be kept for months.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { createQuarantineStore } from '../../src/store/quarantine/quarantine-store.ts';
import { testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { createStoredCallbacks } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const yearMs = 365 * 86_400_000;
const shiftedClock = pathToFileURL(path.join(import.meta.dirname, '..', 'support', 'shifted-clock.ts')).href;
const { server: redis } = await withRedis();
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'clock-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

test('a start a year ahead removes no failed, held, delivered or quarantined callback', async () => {
  await using stored = createStoredCallbacks(redis.url);
  for (const settle of [() => stored.fail(), () => stored.hold(), () => stored.deliver()]) {
    await stored.store();
    await settle();
  }
  const { base } = stored.queue;
  const quarantine = createQuarantineStore(stored.redis, stored.queue);
  const kept = { id: 'q', atMs: Date.now(), bytes: 4, retainMs: 60_000, fields: { reason: 'not-json', body: 'rest' } };
  await quarantine.add(kept, { maxBytes: 1_000, notBeforeMs: 0 });

  const clockFile = path.join(dir, 'clock');
  await writeFile(clockFile, String(yearMs));
  await using service = await startService({
    roles: ['receive'],
    nodeFlags: ['--import', shiftedClock],
    env: {
      TEST_CLOCK_FILE: clockFile,
      REDIS_URL: redis.url,
      QUEUE_NAME: 'callbacks',
      QUEUE_PREFIX: stored.prefix,
      PAYALO_API_KEYS: testKey,
    },
  });
  await until(() => service.logs.some(({ event }) => event === 'retention.swept'));
  // A new quarantine entry also removes old ones by age.
  await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body: '{' });
  await until(async () => (await stored.redis.zcard(keysOf.quarantine(stored.queue))) === 2);
  const places = [`${base}:failed`, keysOf.held(stored.queue), `${base}:completed`];
  expect(await Promise.all(places.map(async (place) => stored.redis.zcard(place)))).toEqual([1, 1, 1]);
  expect(await quarantine.get('q')).toBeDefined();
});
