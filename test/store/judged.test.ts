// A callback whose identity is already claimed: when it replaces the existing result, and when it changes nothing.
import { beforeEach, describe, expect, test } from 'vitest';
import { digestOf, referenceDigest, terminalKind } from '../../src/callback/identity.ts';
import { createNonce, jobIdOf, toJobData, type Replaced, type Source } from '../../src/callback/job.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createAcceptBatch, createLook, type AcceptItem } from '../../src/store/accept/accept-batch.ts';
import { quarantineTtlSlackMs } from '../../src/store/quarantine/quarantine-store.ts';
import { readClaims } from '../../src/store/accept/claims.ts';
import { callbackOf, newReference, type CallbackFields } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const settings = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 60_000, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };
const noReplicas = { replicas: 0, timeoutMs: 0 };
const startMs = 1_800_000_000_000;

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;
let reference: string;
let digest: string;

beforeEach(() => {
  queue = newQueue();
  reference = newReference();
  digest = digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind });
});

interface Fields extends CallbackFields {
  readonly source?: Source;
  readonly replaces?: Replaced;
  readonly insteadOf?: string;
  /** Milliseconds after `startMs`. */
  readonly atMs?: number;
}

function itemOf({ source = 'callback', replaces, insteadOf, atMs = 0, ...fields }: Fields = {}): AcceptItem {
  const callback = callbackOf({ reference, ...fields });
  const receivedAtMs = startMs + atMs;
  const receivedAt = new Date(receivedAtMs).toISOString();
  const data = toJobData(callback, { brand: 'default', source, receivedAt, requestId: 'r', replaces });
  return { callback, source, receivedAtMs, nonce: createNonce(), insteadOf, data: JSON.stringify(data), replaces };
}

async function handIn(item: AcceptItem): Promise<string | undefined> {
  return (await createAcceptBatch(redis, queue, settings, noReplicas)([item])).outcomes[0];
}

const isGone = async (item: AcceptItem) =>
  (await createLook(redis, queue, settings, noReplicas)([item])).gone.length === 1;
const claim = async () => (await readClaims(redis, queue, [digest]))[0];
const baseState = (sequence: number, status: string, amount = '100KES') => ({ sequence, status, amount });

describe('a callback whose job is gone', () => {
  test.for([
    ['nothing', 'queued', ''],
    ['that it was erased while the gateway did not know it', 'queued', ',removed,l0'],
    ['that it was delivered', 'duplicate', ',delivered,l0'],
    ['that it was held', 'duplicate', ',held,l0'],
  ] as const)('and of which the claim says %s, is %s when reconciliation hands it in', async ([, expected, noted]) => {
    const first = itemOf();
    await handIn(first);
    await redis.append(keysOf.claim(queue, digest), noted);
    await redis.del(keysOf.job(queue, jobIdOf(digest, first.nonce)));
    const found = itemOf({ source: 'records', insteadOf: first.nonce });
    expect(await handIn(found)).toBe(expected);
    expect((await claim())?.nonce).toBe(expected === 'queued' ? found.nonce : first.nonce);
  });

  test('leaves index and register to the one in its place, and counts as that one when it is handed in again', async () => {
    const first = itemOf();
    await handIn(first);
    const firstId = jobIdOf(digest, first.nonce);
    await redis.del(keysOf.job(queue, firstId));
    await redis.zadd(`${queue.base}/r`, 1, firstId);
    const found = itemOf({ source: 'records', insteadOf: first.nonce });
    expect(await handIn(found)).toBe('queued');
    expect(await redis.zrange(keysOf.index(queue, 'success'), '0', '-1')).toEqual([jobIdOf(digest, found.nonce)]);
    expect(await redis.exists(`${queue.base}/r`)).toBe(0);
    expect(await handIn(first)).toBe('queued');
    expect(await claim()).toMatchObject({ nonce: found.nonce, duplicates: 0 });
  });

  test('but whose brand is being moved here, is still arriving', async () => {
    const first = itemOf();
    await handIn(first);
    await redis.del(keysOf.job(queue, jobIdOf(digest, first.nonce)));
    await redis.set(`${queue.base}/incoming`, 'other');
    expect(await handIn(itemOf({ source: 'records', insteadOf: first.nonce }))).toBe('duplicate');
  });

  test('is not replaced by one that was found for another job, or that differs', async () => {
    const first = itemOf();
    await handIn(first);
    await redis.del(keysOf.job(queue, jobIdOf(digest, first.nonce)));
    expect(await handIn(itemOf({ source: 'records', insteadOf: '.of-another' }))).toBe('duplicate');
    expect(await handIn(itemOf({ source: 'records', insteadOf: first.nonce, status: 'failed' }))).toBe('conflict');
  });
});

describe('a correction', () => {
  test('applies if the state it is based on is current, by sequence and result', async () => {
    await handIn(itemOf());
    expect(await handIn(itemOf({ source: 'correction', status: 'failed', replaces: baseState(0, 'success') }))).toBe(
      'queued',
    );
    expect(await claim()).toMatchObject({ sequence: 1, status: 'failed' });
  });

  test('applies to the state it is based on, however late the receiving clock was', async () => {
    await handIn(itemOf({ atMs: 60_000 }));
    const correction = { source: 'correction', status: 'failed', replaces: baseState(0, 'success') } as const;
    expect(await handIn(itemOf(correction))).toBe('queued');
  });

  test('is overtaken by a later correction, and by another result under the same sequence', async () => {
    await handIn(itemOf());
    await handIn(itemOf({ source: 'correction', status: 'failed', replaces: baseState(0, 'success'), atMs: 1_000 }));
    const byTheFirst = itemOf({ source: 'correction', amount: '90', replaces: baseState(0, 'success'), atMs: 2_000 });
    expect(await handIn(byTheFirst)).toBe('overtaken');
    const byAnother = { source: 'correction', amount: '90', replaces: baseState(1, 'success', '80KES') } as const;
    expect(await handIn(itemOf({ ...byAnother, atMs: 500 }))).toBe('overtaken');
    expect(await handIn(itemOf({ ...byAnother, atMs: 1_000 }))).toBe('queued');
  });

  test('of a later sequence than the claim’s applies although it agrees: the merchant may have another result', async () => {
    await handIn(itemOf());
    expect(await handIn(itemOf({ source: 'correction', replaces: baseState(0, 'success') }))).toBe('duplicate');
    expect(await handIn(itemOf({ source: 'correction', replaces: baseState(2, 'failed') }))).toBe('queued');
    expect(await claim()).toMatchObject({ sequence: 3, status: 'success' });
  });

  test('of an altered body applies although it agrees', async () => {
    await handIn(itemOf());
    expect(await handIn(itemOf({ source: 'correction', replaces: baseState(0, 'success', 'altered') }))).toBe('queued');
  });

  test('of an amount that only one names contradicts nothing', async () => {
    await handIn(itemOf({ amount: 'null' }));
    expect(await handIn(itemOf({ source: 'correction', replaces: baseState(0, 'success', '') }))).toBe('duplicate');
    expect(await handIn(itemOf({ amount: '5' }))).toBe('duplicate');
  });
});

describe('a callback that came before the current correction, and that Redis lost', () => {
  async function corrected() {
    await handIn(itemOf({ atMs: 1_000 }));
    await handIn(itemOf({ source: 'correction', status: 'failed', replaces: baseState(0, 'success'), atMs: 2_000 }));
  }

  test.for([
    [2_000, 0],
    [2_001, 1],
  ] as const)(
    'and that agrees with it, is counted as a duplicate only if it came later (%i ms)',
    async ([atMs, duplicates]) => {
      await corrected();
      expect(await handIn(itemOf({ status: 'failed', atMs }))).toBe('duplicate');
      expect((await claim())?.duplicates).toBe(duplicates);
    },
  );

  test.for([
    [2_000, 'duplicate'],
    [2_001, 'conflict'],
  ] as const)(
    'and that agrees with the replaced one, is a conflict only if it came later (%i ms)',
    async ([atMs, outcome]) => {
      await corrected();
      expect(await handIn(itemOf({ status: 'success', atMs }))).toBe(outcome);
    },
  );

  test('without a correction an earlier one is a duplicate like any other', async () => {
    await handIn(itemOf({ atMs: 1_000 }));
    await handIn(itemOf({ atMs: 500 }));
    expect((await claim())?.duplicates).toBe(1);
  });
});

test('the body of a conflict, and the keys that lead to it, are kept as long as quarantine entries', async () => {
  await handIn(itemOf());
  await handIn(itemOf({ status: 'failed' }));
  const [id = ''] = await redis.zrange(keysOf.quarantine(queue), '0', '-1');
  const longestMs = settings.QUARANTINE_RETAIN + quarantineTtlSlackMs;
  for (const key of [keysOf.quarantineEntry(queue, id), keysOf.conflicts(queue, digest), keysOf.claim(queue, digest)]) {
    expect(await redis.pttl(key)).toBeGreaterThan(longestMs - 30_000);
    expect(await redis.pttl(key)).toBeLessThanOrEqual(longestMs);
  }
});

test('the key of a merchant’s reference expires with the last callback that it leads to', async () => {
  await handIn(itemOf());
  const key = keysOf.merchantReference(queue, referenceDigest('default', 'merchant', 'quickstart-001'));
  expect(await redis.pttl(key)).toBeGreaterThan(0);
});

test('the key to a callback of another status lives as long as its claim; a terminal one needs none', async () => {
  const key = keysOf.otherKinds(queue, referenceDigest('default', 'gateway', reference));
  await handIn(itemOf());
  expect(await redis.exists(key)).toBe(0);
  await handIn(itemOf({ status: 'reversed' }));
  const kind = 'status:reversed';
  expect(await redis.hgetall(key)).toEqual({
    reversed: digestOf({ brand: 'default', gatewayReference: reference, kind }),
  });
  expect(await redis.pttl(key)).toBeGreaterThan(settings.DEDUP_TTL / 2);
});

test('a correction does not shorten the life of a claim that a conflict has prolonged', async () => {
  await handIn(itemOf());
  await handIn(itemOf({ status: 'failed' }));
  await redis.pexpire(keysOf.claim(queue, digest), 600_000);
  await handIn(itemOf({ source: 'correction', status: 'failed', replaces: baseState(0, 'success') }));
  expect(await redis.pttl(keysOf.claim(queue, digest))).toBeGreaterThan(settings.DEDUP_TTL);
});

test('if a batch fails after a rewritten job, that job’s claim stays and the failing one is released', async () => {
  const first = itemOf();
  await handIn(first);
  await redis
    .multi()
    .del(keysOf.job(queue, jobIdOf(digest, first.nonce)))
    .del(`${queue.base}:wait`)
    .exec();
  const culprit = itemOf({ reference: newReference() });
  const { gatewayReference } = culprit.callback;
  const culpritDigest = digestOf({ brand: 'default', gatewayReference, kind: terminalKind });
  const key = keysOf.job(queue, jobIdOf(culpritDigest, culprit.nonce));
  await redis.set(key, 'not what belongs here');
  const accept = createAcceptBatch(redis, queue, settings, noReplicas);
  await expect(accept([first, culprit])).rejects.toThrow(/^WRONGTYPE /);
  const [ofFirst, ofCulprit] = await readClaims(redis, queue, [digest, culpritDigest]);
  expect([ofFirst?.nonce, ofCulprit]).toEqual([first.nonce, undefined]);
  expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([jobIdOf(digest, first.nonce)]);
});

test('a job that cannot be rewritten leaves its claim unchanged', async () => {
  const first = itemOf();
  await handIn(first);
  await redis
    .multi()
    .del(keysOf.job(queue, jobIdOf(digest, first.nonce)))
    .del(`${queue.base}:wait`)
    .exec();
  await redis.set(`${queue.base}:id`, 'no number');
  await expect(handIn(first)).rejects.toThrow(/integer/);
  expect(await claim()).toMatchObject({ nonce: first.nonce, status: 'success' });
});

describe('what is handed in again', () => {
  test.each(['data', 'opts'])('rewrites its job if its %s is missing', async (field) => {
    const item = itemOf();
    await handIn(item);
    const jobKey = keysOf.job(queue, jobIdOf(digest, item.nonce));
    const before = await redis.hgetall(jobKey);
    await redis.hdel(jobKey, field);
    expect(await handIn(item)).toBe('queued');
    expect(await redis.hgetall(jobKey)).toEqual(before);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([jobIdOf(digest, item.nonce)]);
  });

  test('rewrites a correction of a former version under the sequence that it had', async () => {
    await handIn(itemOf());
    const correction = itemOf({ source: 'correction', status: 'failed' }); // it does not name the state it is based on
    await handIn(correction);
    const jobKey = keysOf.job(queue, jobIdOf(digest, correction.nonce));
    const before = await redis.hget(jobKey, 'data');
    expect(JSON.parse(before ?? '')).toMatchObject({ status: 'failed', sequence: 1 });
    await redis.hdel(jobKey, 'data');
    expect(await handIn(correction)).toBe('queued');
    expect(await redis.hget(jobKey, 'data')).toBe(before);
  });

  test('changes nothing of an intact job: a failed one stays failed', async () => {
    const item = itemOf();
    await handIn(item);
    const jobId = jobIdOf(digest, item.nonce);
    await redis.multi().del(`${queue.base}:wait`).zadd(`${queue.base}:failed`, 1, jobId).exec();
    expect(await handIn(item)).toBe('queued');
    expect(await redis.zscore(`${queue.base}:failed`, jobId)).toBe('1');
    expect(await redis.exists(`${queue.base}:wait`)).toBe(0);
  });

  test('has its first outcome: a correction that was not new is a duplicate even after later ones', async () => {
    await handIn(itemOf());
    const noNews = itemOf({ source: 'correction', replaces: baseState(0, 'success') });
    expect(await handIn(noNews)).toBe('duplicate');
    await handIn(itemOf({ source: 'correction', status: 'failed', replaces: baseState(0, 'success') }));
    expect(await handIn(noNews)).toBe('duplicate');
  });
});

describe('looking at one that was handed in', () => {
  test('reports as missing exactly what would have to be handed in again', async () => {
    const [first, duplicate, conflict] = [itemOf(), itemOf(), itemOf({ status: 'failed' })];
    expect(await isGone(first)).toBe(true);
    for (const item of [first, duplicate, conflict]) await handIn(item);
    for (const item of [first, duplicate, conflict]) expect(await isGone(item)).toBe(false);
    expect(await isGone(itemOf({ status: 'failed', amount: '7' }))).toBe(true); // a contradiction that nobody kept
    expect(await isGone(itemOf({ status: 'failed' }))).toBe(false); // the same is kept
    const correction = itemOf({ source: 'correction', status: 'failed', replaces: baseState(0, 'success') });
    expect(await isGone(correction)).toBe(true);
    await redis.del(keysOf.job(queue, jobIdOf(digest, first.nonce)));
    expect(await isGone(first)).toBe(true);
  });
});
