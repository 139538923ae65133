// Callbacks submitted again, by a repeated call or from a spool: in any order, after other callbacks, to a Redis that still
// has them or has lost them. Each callback takes effect once, and the later result wins.
import { beforeEach, describe, expect, test } from 'vitest';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createAcceptBatch, createLook, type AcceptItem } from '../../src/store/accept/accept-batch.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { readClaims, replacedBy } from '../../src/store/accept/claims.ts';
import { createNonce, jobSchema, toJobData, type Replaced, type Source } from '../../src/callback/job.ts';
import { callbackOf, newReference } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const times = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 60_000, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };
const noReplicas = { replicas: 0, timeoutMs: 0 };

const { redis } = await withRedis();
let queue: BrandQueue;
let accept: ReturnType<typeof createAcceptBatch>;
let look: ReturnType<typeof createLook>;
let reference: string;
let clockMs: number;

beforeEach(() => {
  queue = newQueue();
  accept = createAcceptBatch(redis, queue, times, noReplicas);
  look = createLook(redis, queue, times, noReplicas);
  reference = newReference();
  clockMs = Date.now();
});

interface ItemFields {
  readonly status?: string;
  readonly amount?: string;
  readonly source?: Source;
  readonly replaces?: Replaced | undefined;
}

/** Each one second later than the previous one. */
function itemOf({ status = 'failed', amount = '100.00', source = 'callback', replaces }: ItemFields = {}): AcceptItem {
  clockMs += 1_000;
  const callback = callbackOf({ reference, status, amount });
  const receivedAt = new Date(clockMs).toISOString();
  const data = JSON.stringify(toJobData(callback, { brand: 'default', source, receivedAt, requestId: 'r', replaces }));
  return { callback, source, receivedAtMs: clockMs, nonce: createNonce(), data, replaces };
}

async function claim() {
  const [found] = await readClaims(redis, queue, [
    digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind }),
  ]);
  if (found === undefined) throw new Error('nothing is claimed');
  return found;
}

async function correctionOf(fields: ItemFields): Promise<AcceptItem> {
  return itemOf({ source: 'correction', replaces: replacedBy(await claim()), ...fields });
}

async function handIn(...items: AcceptItem[]): Promise<string[]> {
  const outcomes: string[] = [];
  for (const item of items) outcomes.push(...(await accept([item])).outcomes);
  return outcomes;
}

/** Failed, corrected to success, corrected to failed again. */
async function flipped(): Promise<AcceptItem[]> {
  const original = itemOf();
  await handIn(original);
  const first = await correctionOf({ status: 'success' });
  await handIn(first);
  const second = await correctionOf({});
  await handIn(second);
  return [original, first, second];
}

const quarantined = () => redis.zcard(keysOf.quarantine(queue));

async function delivered(): Promise<{ status: string | null; sequence: number }[]> {
  const ids = (await redis.lrange(`${queue.base}:wait`, 0, -1)).toReversed();
  const texts = await Promise.all(ids.map((id) => redis.hget(keysOf.job(queue, id), 'data')));
  return texts.map((text) => {
    const { status, sequence = 0 } = jobSchema.parse(JSON.parse(text ?? ''));
    return { status, sequence };
  });
}

function orders<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, at) => orders(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}

// The power fails while Redis writes an earlier try, and Redis silently loads the torn file.
describe('a Redis whose file was torn', () => {
  const jobKey = ({ nonce }: AcceptItem) =>
    keysOf.job(queue, `${digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind })}${nonce}`);
  const hole = (text: string) => `${text.slice(0, 40)}${'\0'.repeat(30)}${text.slice(70)}`;

  test.each(['data', 'opts'])('has the %s of a waiting job rewritten, and the job waits once', async (field) => {
    const item = itemOf();
    await handIn(item);
    const whole = await redis.hgetall(jobKey(item));
    await redis.hset(jobKey(item), field, hole(whole[field] ?? '').padEnd(90, '\0'));
    expect(await handIn(item)).toEqual(['queued']);
    expect(await redis.hgetall(jobKey(item))).toEqual(whole);
    expect(await delivered()).toEqual([{ status: 'failed', sequence: 0 }]);
  });

  test('retries a job that a worker gave up as unreadable', async () => {
    const item = itemOf();
    await handIn(item);
    const whole = await redis.hgetall(jobKey(item));
    await redis.hset(jobKey(item), { data: hole(item.data), failedReason: 'unreadable', finishedOn: 1, atm: 3 });
    await redis.lrem(`${queue.base}:wait`, 0, jobKey(item).slice(`${queue.base}:`.length));
    await redis.zadd(`${queue.base}:failed`, 1, jobKey(item).slice(`${queue.base}:`.length));
    expect(await handIn(item, item)).toEqual(['queued', 'queued']);
    expect(await redis.hgetall(jobKey(item))).toEqual(whole);
    expect(await redis.zcard(`${queue.base}:failed`)).toBe(0);
    expect(await delivered()).toEqual([{ status: 'failed', sequence: 0 }]);
  });

  test('recreates a job that is gone without a trace, with its sequence', async () => {
    await handIn(itemOf());
    const correction = await correctionOf({ status: 'success' });
    await handIn(correction);
    const id = jobKey(correction).slice(`${queue.base}:`.length);
    const data = await redis.hget(jobKey(correction), 'data');
    await redis.del(jobKey(correction));
    await redis.lrem(`${queue.base}:wait`, 0, id);
    expect((await look([correction])).gone).toEqual([correction]);
    expect(await handIn(correction, correction)).toEqual(['queued', 'queued']);
    expect(await redis.hget(jobKey(correction), 'data')).toBe(data);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([id]);
  });

  test('leaves alone jobs that were delivered and removed, erased ones, and those that a worker holds', async () => {
    const item = itemOf();
    await handIn(item);
    const id = jobKey(item).slice(`${queue.base}:`.length);
    await redis.lrem(`${queue.base}:wait`, 0, id);
    await redis.hset(jobKey(item), { data: '{}', erased: 1 });
    expect(await handIn(item)).toEqual(['queued']);
    expect(await redis.hget(jobKey(item), 'data')).toBe('{}');
    await redis.del(jobKey(item));
    await redis.zadd(keysOf.inHand(queue), Date.now() + 9_000, id);
    expect(await handIn(item)).toEqual(['queued']);
    await redis.del(keysOf.inHand(queue));
    const claimKey = keysOf.claim(
      queue,
      digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind }),
    );
    await redis.append(claimKey, ',delivered,1');
    expect(await handIn(item)).toEqual(['queued']);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([]);
  });
});

describe('a Redis that has it all', () => {
  test('changes nothing when an original and its corrections are handed in again, in whatever order', async () => {
    const items = await flipped();
    const before = await claim();
    for (const order of orders(items)) expect(await handIn(...order)).toEqual(['queued', 'queued', 'queued']);
    expect(await claim()).toEqual(before);
    expect(before).toMatchObject({ sequence: 2, status: 'failed', duplicates: 0 });
    expect(await delivered()).toEqual([{ status: 'failed', sequence: 2 }]);
    expect(await quarantined()).toBe(0);
  });

  test('counts a duplicate once and keeps a conflict once, however often each is handed in', async () => {
    const duplicate = itemOf();
    const conflict = itemOf({ status: 'success' });
    expect(await handIn(itemOf(), duplicate, conflict, duplicate, conflict, duplicate, conflict)).toEqual([
      'queued',
      'duplicate',
      'conflict',
      'duplicate',
      'conflict',
      'duplicate',
      'conflict',
    ]);
    expect((await claim()).duplicates).toBe(2);
    expect(await quarantined()).toBe(1);
  });

  test('accepts no correction of a callback that was corrected meanwhile', async () => {
    await handIn(itemOf());
    const early = await correctionOf({ status: 'success', amount: '90.00' });
    const late = await correctionOf({ status: 'success' });
    expect(await handIn(late, early, early)).toEqual(['queued', 'overtaken', 'overtaken']);
    expect(await claim()).toMatchObject({ nonce: late.nonce, sequence: 1, amount: '100KES' });
    expect(await delivered()).toEqual([{ status: 'success', sequence: 1 }]);
  });

  test('recognizes by a correction’s job what a former version replaced', async () => {
    const items = await flipped();
    await redis.del(keysOf.tries(queue, (await claim()).digest));
    expect(await handIn(...items)).toEqual(['queued', 'queued', 'queued']);
    expect(await claim()).toMatchObject({ sequence: 2, duplicates: 0 });
  });

  test('accepts a correction of a former version, which does not name the state it is based on', async () => {
    await handIn(itemOf());
    const former = itemOf({ status: 'success', source: 'correction' });
    expect(await handIn(former, former)).toEqual(['queued', 'queued']);
    expect(await delivered()).toEqual([{ status: 'success', sequence: 1 }]);
  });
});

describe('a Redis that has lost the latest of it', () => {
  test.for([0, 1, 2, 3])(
    'ends with the last result under the highest sequence, whatever the order ($0 of 3 left)',
    async (left) => {
      const items = await flipped();
      for (const order of orders(items)) {
        await redis.flushdb();
        await handIn(...items.slice(0, left));
        await handIn(...order);
        expect(await claim()).toMatchObject({ status: 'failed', sequence: 2, duplicates: 0 });
        expect((await delivered()).at(-1)).toEqual({ status: 'failed', sequence: 2 });
        expect(await quarantined()).toBe(0);
      }
    },
  );

  test('does not let an old correction override a later result', async () => {
    const [, , correction] = await flipped();
    await redis.flushdb();
    const found = itemOf({ status: 'success', source: 'status' });
    expect(correction).toBeDefined();
    expect(await handIn(found, ...(correction === undefined ? [] : [correction]))).toEqual(['queued', 'overtaken']);
    expect(await delivered()).toEqual([{ status: 'success', sequence: 0 }]);
  });
});

describe('looking', () => {
  const areThere = async (...items: AcceptItem[]) => (await look(items)).gone.length === 0;

  test('finds everything that was handed in, whatever its state, and changes nothing', async () => {
    const items = [...(await flipped()), itemOf({ status: 'success' }), itemOf()];
    await handIn(...items);
    const before = await claim();
    expect(await areThere(...items)).toBe(true);
    expect(await claim()).toEqual(before);
  });

  test('reports as missing each that Redis has lost', async () => {
    const items = await flipped();
    await redis.flushdb();
    for (const item of items) expect(await areThere(item)).toBe(false);
    await handIn(...items.slice(0, 1));
    expect(await areThere(...items.slice(0, 1))).toBe(true);
    expect(await areThere(...items.slice(1, 2))).toBe(false);
    expect(await areThere(itemOf({ status: 'success' }))).toBe(false); // a conflict whose body is not kept
  });

  test('is a write that replicas can confirm', async () => {
    const item = itemOf();
    await handIn(item);
    const lookMarked = createLook(redis, queue, times, { replicas: 1, timeoutMs: 10 });
    expect(await lookMarked([item])).toEqual({ gone: [], confirmed: false }); // this server has no replica
    expect(await redis.exists(keysOf.mark(queue))).toBe(1);
  });
});

describe('the notes of earlier tries', () => {
  test('expire with the claim', async () => {
    await flipped();
    const ttl = await redis.pttl(keysOf.tries(queue, (await claim()).digest));
    expect(ttl).toBeGreaterThan(50_000);
    expect(ttl).toBeLessThanOrEqual(times.DEDUP_TTL);
  });

  test('are bounded, whoever sends a callback a thousand times', async () => {
    await handIn(itemOf());
    for (let batch = 0; batch < 80; batch += 1) await accept(Array.from({ length: 16 }, () => itemOf()));
    const last = itemOf();
    await handIn(last);
    expect(await redis.hlen(keysOf.tries(queue, (await claim()).digest))).toBe(1_000);
    expect((await claim()).duplicates).toBe(1_281);
    expect((await look([last])).gone).toEqual([]);
  });
});
