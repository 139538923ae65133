import { rmSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createIntake, type IntakeItem, type IntakeOutcome } from '../../src/intake/intake.ts';
import { createQuarantine, type RefusedRequest } from '../../src/intake/quarantine/quarantine.ts';
import { createSpool, type Spool } from '../../src/intake/spool/spool.ts';
import { createAcceptBatch } from '../../src/store/accept/accept-batch.ts';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import { jobSchema, webhookIdOfJob } from '../../src/callback/job.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { parseCallbackText } from '../../src/callback/parse-callback.ts';
import { withRedis } from '../support/with-redis.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const day = 86_400_000;
const config = {
  QUEUE_NAME: 'q',
  QUEUE_PREFIX: '{p}',
  QUARANTINE_RETAIN: 30 * day,
  QUARANTINE_MAX_BYTES: 100_000,
  ACK_BUDGET: 3_000,
};
const log = {
  info: vi.fn<(line: object) => void>(),
  warn: vi.fn<(line: object) => void>(),
  error: vi.fn<() => void>(),
};

const { server } = await withRedis();
let redis: Redis;
let dir: string;
let spool: Spool;

beforeAll(async () => {
  redis = new Redis(server.url, { enableOfflineQueue: false, maxRetriesPerRequest: 0, lazyConnect: true });
  redis.on('error', () => {});
  await redis.connect();
  dir = await makeTempDir('quarantine');
});

afterAll(async () => {
  redis.disconnect();
  rmSync(dir, { recursive: true, force: true });
});

beforeEach(async () => {
  vi.clearAllMocks();
  await redis.flushall();
  spool = createSpool({ dir: path.join(dir, 'spool'), maxBytes: 1e9, log });
  await spool.ready();
});

afterEach(() => spool.close());

describe('keeps', () => {
  test('the body byte for byte and the headers without the key', async () => {
    const quarantine = create();
    const raw = Buffer.from([0xff, 0xfe, 0, 13, 10, 0x7b]);
    const headers = { 'X-Api-Key': 'a-secret-key-of-the-brand', authorization: 'x', cookie: 'x', 'user-agent': 'gw' };
    expect(await quarantine.add(refused({ raw, headers }))).toBe(true);
    const { entries } = await quarantine.list();
    const entry = await quarantine.get(entries[0]?.id ?? '');
    expect(entry).toMatchObject({ brand: 'default', reason: 'not-json', requestId: 'request-1', body: raw });
    expect(entry?.headers).toEqual({ 'user-agent': 'gw' });
    expect(entry?.receivedAt).toBe(new Date(1_800_000_000_000).toISOString());
  });

  test('a request in the spool while Redis is down, and afterwards once in Redis under the same id', async () => {
    const down = new Redis({ port: 1, enableOfflineQueue: false, lazyConnect: true });
    down.on('error', () => {});
    const raw = Buffer.from([0xff, 1, 2]);
    expect(await create({ redis: down }).add(refused({ raw, headers: { 'x-api-key': 'secret' } }))).toBe(true);
    const { entries } = await spool.readBatch({ kind: 'quarantine', brand: 'default' }, 10);
    expect(entries[0]?.data).not.toContain('secret');

    const quarantine = create();
    expect(await quarantine.submit(entries)).toBe('stored');
    expect(await quarantine.submit(entries)).toBe('stored');
    const list = await quarantine.list();
    expect(list.entries).toHaveLength(1);
    expect((await quarantine.get(list.entries[0]?.id ?? ''))?.body).toEqual(raw);
    expect(await create({ redis: down }).submit(entries)).toBe('later');
    down.disconnect();
  });

  test('at most QUARANTINE_MAX_BYTES, the oldest dropped first and counted in the log', async () => {
    const quarantine = create();
    for (let number = 0; number < 25; number += 1) {
      await quarantine.add(
        refused({ raw: Buffer.alloc(10_000, 'x'), requestId: `r${number}`, receivedAtMs: now() + number }),
      );
    }
    const { entries } = await quarantine.list();
    expect(entries.length).toBeLessThanOrEqual(10);
    expect(entries.length).toBeGreaterThan(5);
    expect(entries[0]?.requestId).toBe('r24');
    const dropped = log.warn.mock.calls.map(([line]) => line).filter((line) => 'dropped' in line);
    expect(dropped).toHaveLength(25 - entries.length);
    expect(Number(await redis.get('{p}:q/qbytes'))).toBe(entries.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test('nothing beyond QUARANTINE_RETAIN', async () => {
    const quarantine = create({ now: Date.now });
    await quarantine.add(refused({ requestId: 'old', receivedAtMs: Date.now() - 30 * day + 2_000 }));
    await quarantine.add(refused({ requestId: 'new', receivedAtMs: Date.now() }));
    expect((await quarantine.list()).entries).toHaveLength(2);
    const left = await until(async () => {
      await quarantine.trim();
      const { entries } = await quarantine.list();
      return entries.length === 1 && entries;
    });
    expect(left).toMatchObject([{ requestId: 'new' }]);
  });
});

describe('lists', () => {
  test('page by page over all brands, newest first, none twice and none missing', async () => {
    const quarantine = create();
    for (let number = 0; number < 23; number += 1) {
      const brand = number % 3 === 0 ? 'acme' : 'default';
      // Several in one millisecond, so that the cursor must tell them apart.
      await quarantine.add(refused({ brand, requestId: `r${number}`, receivedAtMs: now() + Math.floor(number / 5) }));
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await quarantine.list({ limit: 4, cursor });
      seen.push(...page.entries.map(({ requestId }) => requestId));
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
    expect(seen.toSorted()).toEqual(Array.from({ length: 23 }, (_, number) => `r${number}`).toSorted());
  });
});

describe('releases', () => {
  test('a body without a reference under the operator’s, its text unchanged', async () => {
    const body = ' {"status":"success","merchantReference":"m-1","finalAmount":{"value":100.00,"currency":"KES"} } ';
    const { outcome, accepted, isKept } = await release(body, 'ref-1');
    expect(outcome).toEqual({ kind: 'released', outcome: 'queued' });
    expect(accepted[0]?.callback).toEqual({
      gatewayReference: 'ref-1',
      merchantReference: 'm-1',
      status: 'success',
      type: null,
      finalAmount: { value: '100', currency: 'KES' },
      body,
    });
    expect(accepted[0]?.origin).toMatchObject({ brand: 'default', source: 'callback', requestId: 'request-1' });
    expect(isKept).toBe(false);
  });

  test.each([
    ['{}', null],
    ['{ "gatewayReference": 7, "status": "failed" }', 'failed'],
    ['{"gatewayReference":"","status":"failed"}', 'failed'],
    ['\uFEFF{"status":"failed",}', 'failed'],
    ['this is no JSON', null],
  ])('%j under the reference of the operator', async (body, status) => {
    const { outcome, accepted } = await release(body, 'ref $& "quoted"');
    expect(outcome.kind).toBe('released');
    expect(accepted[0]?.callback).toMatchObject({ gatewayReference: 'ref $& "quoted"', status, body });
  });

  test.each([
    ['without a reference anywhere', '{"status":"success"}', undefined, 'bad-reference'],
    ['with a reference of over 255 characters', '{"status":"success"}', 'x'.repeat(256), 'bad-reference'],
    ['with a reference that contradicts the body', '{"gatewayReference":"a"}', 'b', 'bad-reference'],
    ['of bytes that are not text', Buffer.from([0x7b, 0xff, 0x7d]), 'ref-1', 'unreadable'],
  ])('nothing %s, and keeps it', async (_what, body, reference, kind) => {
    const { outcome, accepted, isKept } = await release(body, reference);
    expect(outcome.kind).toBe(kind);
    expect(accepted).toEqual([]);
    expect(isKept).toBe(true);
  });

  test.each<IntakeOutcome>([
    { kind: 'unavailable', reason: 'x' },
    { kind: 'conflict' },
    { kind: 'overtaken' },
    { kind: 'ignored', status: 'pending' },
  ])('and keeps an entry that intake refused: $kind', async (refusal) => {
    const { outcome, isKept } = await release('{"gatewayReference":"a"}', undefined, refusal);
    expect(outcome.kind).toBe('refused');
    expect(isKept).toBe(true);
  });

  test('a conflict that accept.lua kept, as a correction', async () => {
    const accept = createAcceptBatch(redis, brandQueue('default', config), times, { replicas: 0, timeoutMs: 0 });
    await accept([acceptItem('success', '.1')]);
    expect((await accept([acceptItem('failed', '.2')])).outcomes).toEqual(['conflict']);
    const accepted: IntakeItem[] = [];
    const quarantine = create({
      accept: async (item) => {
        accepted.push(item);
        return { kind: 'queued' };
      },
    });
    const [entry] = (await quarantine.list()).entries;
    expect(entry).toMatchObject({ reason: 'conflict', gatewayReference: 'ref-1' });
    expect(await quarantine.release(entry?.id ?? '')).toEqual({ kind: 'released', outcome: 'queued' });
    expect(accepted[0]?.origin).toMatchObject({
      source: 'correction',
      replaces: { sequence: 0, status: 'success', amount: '' },
    });
    expect(accepted[0]?.callback).toMatchObject({ status: 'failed', gatewayReference: 'ref-1' });
    expect((await quarantine.list()).entries).toEqual([]);
    expect(await redis.zcard('{p}:q/unverified')).toBe(0);
  });

  test('a conflict whose first callback has expired, still as its correction', async () => {
    const accept = createAcceptBatch(redis, brandQueue('default', config), times, { replicas: 0, timeoutMs: 0 });
    await accept([acceptItem('success', '.1')]);
    await accept([acceptItem('failed', '.2')]);
    await redis.del(await redis.keys('{p}:q/c:*'));
    const intake = createIntake({
      storeFor: () => ({ batch: accept, look: () => expect.unreachable(), reset: () => undefined }),
      spool: { append: () => expect.unreachable(), canStore: () => false, stats: () => ({ entries: 0, bytes: 0 }) },
      settings: { budgetMs: 5_000, spoolBytesMax: 0 },
      log: createLog({ level: 'silent' }),
    });
    const quarantine = create({ accept: (item) => intake.accept(item) });
    const [entry] = (await quarantine.list()).entries;
    expect(await quarantine.release(entry?.id ?? '')).toEqual({ kind: 'released', outcome: 'queued' });
    const ids = await redis.lrange('{p}:q:wait', 0, -1);
    const jobs = await Promise.all(
      ids.map(async (id) => jobSchema.parse(JSON.parse((await redis.hget(`{p}:q:${id}`, 'data')) ?? ''))),
    );
    expect(jobs.map(({ status, sequence = 0 }) => [status, sequence])).toEqual([
      ['failed', 1],
      ['success', 0],
    ]);
    expect(new Set(jobs.map(webhookIdOfJob)).size).toBe(2);
  });

  test('nothing under an unknown id', async () => {
    expect(await create().release('nope')).toEqual({ kind: 'unknown' });
    expect(await create().remove('nope')).toBe(false);
  });
});

test('removes an entry and its bytes from the count', async () => {
  const quarantine = create();
  await quarantine.add(refused({}));
  const [entry] = (await quarantine.list()).entries;
  expect(await quarantine.remove(entry?.id ?? '')).toBe(true);
  expect((await quarantine.list()).entries).toEqual([]);
  expect(Number(await redis.get('{p}:q/qbytes'))).toBe(0);
});

const times = { DEDUP_TTL: day, RETAIN_COMPLETED: day, RETAIN_FAILED: day, QUARANTINE_RETAIN: day };

function now(): number {
  return 1_800_000_000_000;
}

function create(options: Partial<Parameters<typeof createQuarantine>[0]> = {}) {
  const accept = async (): Promise<IntakeOutcome> => ({ kind: 'queued' });
  return createQuarantine({ redis, brands: ['default', 'acme'], config, spool, accept, log, now, ...options });
}

function refused(options: Partial<RefusedRequest>): RefusedRequest {
  return {
    brand: 'default',
    reason: 'not-json',
    detail: 'The body is not valid JSON.',
    requestId: 'request-1',
    receivedAtMs: now(),
    headers: {},
    raw: Buffer.from('not json'),
    ...options,
  };
}

async function release(
  body: string | Buffer,
  reference: string | undefined,
  answer: IntakeOutcome = { kind: 'queued' },
) {
  const accepted: IntakeItem[] = [];
  const quarantine = create({
    accept: async (item) => {
      accepted.push(item);
      return answer;
    },
  });
  await quarantine.add(refused({ raw: Buffer.from(body) }));
  const id = (await quarantine.list()).entries[0]?.id ?? '';
  const outcome = await quarantine.release(id, { gatewayReference: reference });
  return { outcome, accepted, isKept: (await quarantine.get(id)) !== undefined };
}

function acceptItem(status: string, nonce: string) {
  const body = JSON.stringify({ gatewayReference: 'ref-1', status });
  const parsed = parseCallbackText(body);
  if (parsed.kind !== 'callback') throw new Error('The test made an invalid callback.');
  const data = JSON.stringify({
    version: 1,
    brand: 'default',
    source: 'callback',
    gatewayReference: 'ref-1',
    merchantReference: null,
    status,
    type: null,
    receivedAt: '2026-11-24T08:00:00.000Z',
    requestId: 'request-2',
    body,
  });
  return { callback: parsed.callback, source: 'callback', receivedAtMs: now(), nonce, data } as const;
}
