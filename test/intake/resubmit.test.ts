// Spooled entries that are out of date, or that cannot be looked up.
import { beforeEach, expect, test } from 'vitest';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createNonce, toJobData, type Replaced } from '../../src/callback/job.ts';
import { createIntake, type Intake } from '../../src/intake/intake.ts';
import { createStore } from '../../src/intake/redis-store.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { callbackOf, newReference } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;
let intake: Intake;
let reference: string;
let lines: Record<string, unknown>[];

beforeEach(() => {
  queue = newQueue();
  reference = newReference();
  lines = [];
  const settings = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 1, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };
  intake = createIntake({
    storeFor: () => createStore({ connections: [redis], queue, settings, waitReplicas: 0, waitTimeoutMs: 0 }),
    spool: { append: () => expect.unreachable(), canStore: () => false, stats: () => ({ entries: 0, bytes: 0 }) },
    settings: { budgetMs: 5_000, spoolBytesMax: 1 },
    log: createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
  });
});

function entryOf(status: string, replaces?: Replaced) {
  const origin = {
    brand: 'default',
    source: replaces === undefined ? 'callback' : 'correction',
    receivedAt: new Date().toISOString(),
    requestId: 'r',
    replaces,
  } as const;
  const data = JSON.stringify(toJobData(callbackOf({ reference, status }), origin));
  return { brand: 'default', nonce: createNonce(), data };
}

test('a spooled correction that another one has overtaken is dropped and logged', async () => {
  const baseState = { sequence: 0, status: 'failed', amount: '100KES' };
  expect(await intake.resubmit([entryOf('failed'), entryOf('success', baseState)])).toBe('stored');
  expect(lines).toEqual([]);
  expect(await intake.resubmit([entryOf('reversed'), entryOf('success', { ...baseState, amount: '90KES' })])).toBe(
    'stored',
  );
  expect(lines).toEqual([]); // it says what stands
  const overtaken = entryOf('failed', { sequence: 0, status: 'success', amount: '90KES' });
  expect(await intake.resubmit([entryOf('reversed'), overtaken])).toBe('stored');
  expect(lines).toMatchObject([
    { event: 'intake.correction_overtaken', gatewayReference: reference, status: 'failed', brand: 'default' },
  ]);
  expect((await intake.confirm([overtaken])).gone).toEqual(new Set());
});

test('if one entry of a batch cannot be looked up, the batch is submitted again, which isolates that entry', async () => {
  const first = entryOf('success');
  await intake.resubmit([first]);
  const contradicting = entryOf('failed');
  const digest = digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind });
  await redis.set(keysOf.conflicts(queue, digest), 'somebody else wrote this');
  const looked = await intake.confirm([first, contradicting]);
  expect(looked).toEqual({ outcome: 'stored', gone: new Set([first.nonce, contradicting.nonce]) });
  expect(await intake.resubmit([contradicting])).toBe('refused');
  expect(await intake.resubmit([first])).toBe('stored');
  expect(await redis.llen(`${queue.base}:wait`)).toBe(1);
});
