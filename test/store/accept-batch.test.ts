// The atomic accept script, with a real Redis and stock BullMQ: it writes what queue.add writes, and its decisions hold
// under repetition, races, loss of the job and a restart of Redis.
import { Queue, QueueEvents, Worker } from 'bullmq';
import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createAcceptBatch, type AcceptItem } from '../../src/store/accept/accept-batch.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { readClaims } from '../../src/store/accept/claims.ts';
import {
  createNonce,
  jobIdOf,
  jobName,
  jobOptions,
  jobSchema,
  toJobData,
  type Source,
} from '../../src/callback/job.ts';
import { callbackOf, newReference, type CallbackFields } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { newQueue } from '../support/queues.ts';

const times = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 60_000, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };

const { server, redis } = await withRedis();
let queue: BrandQueue;
let accept: ReturnType<typeof createAcceptBatch>;

beforeEach(() => {
  queue = newQueue();
  accept = createAcceptBatch(redis, queue, times, { replicas: 0, timeoutMs: 0 });
});

function itemOf(fields: CallbackFields = {}, source: Source = 'callback'): AcceptItem {
  const callback = callbackOf(fields);
  const receivedAtMs = Date.now();
  const origin = { brand: 'default', source, receivedAt: new Date(receivedAtMs).toISOString(), requestId: 'request' };
  return { callback, source, receivedAtMs, nonce: createNonce(), data: JSON.stringify(toJobData(callback, origin)) };
}

const digestFor = (gatewayReference: string) => digestOf({ brand: 'default', gatewayReference, kind: terminalKind });
const outcomesOf = async (...items: AcceptItem[]) => (await accept(items)).outcomes;
const waiting = () => redis.llen(`${queue.base}:wait`);

/** Every key below a prefix with its content, job ids and stream ids made comparable. */
async function contentOf({ base, prefix }: BrandQueue, jobId: string): Promise<Record<string, unknown>> {
  const content: Record<string, unknown> = {};
  for (const key of (await redis.keys(`${base}:*`)).toSorted()) {
    const name = key.replace(prefix, '').replace(jobId, 'JOB');
    content[name] = await valueOf(key).then((value) => JSON.parse(JSON.stringify(value).replaceAll(jobId, 'JOB')));
  }
  return content;
}

async function valueOf(key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return redis.get(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'zset':
      return redis.zrange(key, '0', '-1', 'WITHSCORES');
    case 'stream':
      return (await redis.xrange(key, '-', '+')).map(([, fields]) => fields);
    default: {
      const { opts, ...fields } = await redis.hgetall(key);
      if (opts === undefined) return fields;
      // queue.add repeats the job's id and timestamp in the options, where nothing reads them.
      const { jobId: _id, timestamp: _time, ...options } = z.record(z.string(), z.unknown()).parse(JSON.parse(opts));
      return { ...fields, opts: options };
    }
  }
}

// Its keys may come while the service runs, and it is delivered once somebody has configured it.
test.each([
  [['off', 'before', 'after'], { delayed: 1, unconfirmed: 1 }],
  [['off', 'after'], { delayed: 0, unconfirmed: 1 }],
  [['off'], { delayed: 0, unconfirmed: 0 }],
] as const)('a brand without configuration is confirmed like the strictest of %j', async (modes, expected) => {
  const brands = new Map(modes.map((confirm, at) => [`brand${at}`, { confirm }]));
  const settings = { ...times, brands, CONFIRM_WAIT: 600_000 };
  await createAcceptBatch(redis, queue, settings, { replicas: 0, timeoutMs: 0 })([itemOf()]);
  expect({
    delayed: await redis.zcard(`${queue.base}:delayed`),
    unconfirmed: await redis.zcard(keysOf.unconfirmed(queue)),
  }).toEqual(expected);
});

/** As `listen` does: without it the events `added` and `waiting` are left out (docs/decisions/0074). */
const listenTo = () => redis.set(keysOf.listening(queue), '1', 'PX', 60_000);

describe('with CONFIRM=before', () => {
  const settings = {
    ...times,
    brands: new Map([['default', { confirm: 'before' }]] as const),
    CONFIRM_WAIT: 600_000,
  };

  test('is what queue.add writes with a delay, but for the delay in its options and the time by Redis’s clock', async () => {
    const stock = newQueue();
    await listenTo();
    const item = itemOf();
    const jobId = jobIdOf(digestFor(item.callback.gatewayReference), item.nonce);
    for (const { name, prefix } of [queue, stock]) {
      const bullQueue = new Queue(name, { connection: { url: server.url }, prefix });
      await bullQueue.waitUntilReady();
      const delayed = { delay: settings.CONFIRM_WAIT, ...jobOptions };
      if (prefix === stock.prefix)
        await bullQueue.add(jobName, JSON.parse(item.data), { jobId, timestamp: item.receivedAtMs, ...delayed });
      else await createAcceptBatch(redis, queue, settings, { replicas: 0, timeoutMs: 0 })([item]);
      await bullQueue.close();
    }
    const [ours, theirs] = [await contentOf(queue, jobId), await contentOf(stock, jobId)];
    const withoutTimes = (content: unknown) =>
      JSON.parse(JSON.stringify(content).replaceAll(/\d{13,}(?:\.\d+)?/g, 'TIME'));
    const { [':callbacks:JOB']: oursJob, ...oursRest } = withoutTimes(ours);
    const { [':callbacks:JOB']: theirsJob, ...theirsRest } = withoutTimes(theirs);
    expect(oursRest).toEqual(theirsRest);
    expect(theirsJob).toEqual({ ...oursJob, opts: { ...oursJob.opts, delay: settings.CONFIRM_WAIT } });
  });

  test('a place that cannot be written costs no claim: handed in again, it waits once', async () => {
    const acceptBefore = createAcceptBatch(redis, queue, settings, { replicas: 0, timeoutMs: 0 });
    const [called, found] = [itemOf(), itemOf({}, 'records')];
    await redis.set(`${queue.base}:delayed`, 'somebody else’s');
    await expect(acceptBefore([called, found])).rejects.toThrow('WRONGTYPE');
    await redis.del(`${queue.base}:delayed`);
    expect((await acceptBefore([called, found])).outcomes).toEqual(['queued', 'queued']);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([
      jobIdOf(digestFor(found.callback.gatewayReference), found.nonce),
    ]);
    expect(await redis.zcard(`${queue.base}:delayed`)).toBe(1);
  });
});

describe('what it writes', () => {
  test.for([
    { paused: false, isListenedTo: true },
    { paused: false, isListenedTo: false },
    { paused: true, isListenedTo: true },
    { paused: true, isListenedTo: false },
  ])(
    'is what queue.add writes, key by key, but for the events unless somebody listens (paused: $paused, listens: $isListenedTo)',
    async ({ paused, isListenedTo }) => {
      if (isListenedTo) await listenTo();
      const stock = newQueue();
      const item = itemOf();
      const jobId = jobIdOf(digestFor(item.callback.gatewayReference), item.nonce);
      for (const { name, prefix } of [queue, stock]) {
        const bullQueue = new Queue(name, { connection: { url: server.url }, prefix });
        await bullQueue.waitUntilReady();
        if (paused) await bullQueue.pause();
        if (prefix === stock.prefix) {
          await bullQueue.add(jobName, JSON.parse(item.data), { jobId, timestamp: item.receivedAtMs, ...jobOptions });
        } else await accept([item]);
        await bullQueue.close();
      }
      const [ours, theirs] = [await contentOf(queue, jobId), await contentOf(stock, jobId)];
      const theirEvents = z.array(z.array(z.string())).parse(theirs[':callbacks:events']);
      const withoutNew = theirEvents.filter(([, event]) => event !== 'added' && event !== 'waiting');
      const { [':callbacks:events']: ourEvents = [], ...ourRest } = ours;
      const { [':callbacks:events']: _theirs, ...theirRest } = theirs;
      expect(ourRest).toEqual(theirRest);
      expect(ourEvents).toEqual(isListenedTo ? theirEvents : withoutNew);
      expect(ours[':callbacks:JOB']).toMatchObject({ name: 'callback', data: item.data, opts: jobOptions });
    },
  );

  test('is a write on each call that replicas must confirm, also where all of it is there already', async () => {
    const marked = createAcceptBatch(redis, queue, times, { replicas: 1, timeoutMs: 10 });
    const item = itemOf();
    for (let tries = 0; tries < 2; tries += 1) {
      expect((await marked([item])).confirmed).toBe(false); // this server has no replica
      expect(await redis.del(keysOf.mark(queue))).toBe(1);
    }
    await accept([item]);
    expect(await redis.exists(keysOf.mark(queue))).toBe(0);
  });

  test('expires the claim after DEDUP_TTL', async () => {
    const item = itemOf();
    await accept([item]);
    const ttl = await redis.pttl(keysOf.claim(queue, digestFor(item.callback.gatewayReference)));
    expect(ttl).toBeGreaterThan(50_000);
    expect(ttl).toBeLessThanOrEqual(60_000);
  });

  test.for([
    { isListenedTo: true, first: ['added', 'waiting'] },
    { isListenedTo: false, first: ['waiting', 'waiting'] }, // as it is promoted for each of its retries
  ])('is taken by a stock worker that waits, retried, and seen by QueueEvents ($isListenedTo)', async (given) => {
    if (given.isListenedTo) await listenTo();
    const connection = { url: server.url, maxRetriesPerRequest: null };
    const seen: string[] = [];
    const events = new QueueEvents(queue.name, { connection, prefix: queue.prefix });
    for (const event of ['added', 'waiting', 'completed'] as const) events.on(event, () => seen.push(event));
    await events.waitUntilReady();
    let calls = 0;
    const bodies: string[] = [];
    const worker = new Worker(
      queue.name,
      async (job) => {
        calls += 1;
        if (calls < 3) throw new Error('not yet');
        bodies.push(jobSchema.parse(job.data).body);
      },
      // Nothing is special about this worker but a clock that makes the built-in backoff of 5 s and 10 s short.
      { connection, prefix: queue.prefix, settings: { backoffStrategy: () => 1 } },
    );
    await worker.waitUntilReady();
    const item = itemOf();
    await accept([item]);
    await until(() => calls >= 1, { describe: 'the first call' });
    const bullQueue = new Queue(queue.name, { connection, prefix: queue.prefix });
    await until(
      async () => {
        for (const job of await bullQueue.getDelayed()) await job.promote();
        return bodies.length > 0;
      },
      { describe: 'the third call to succeed' },
    );
    await until(() => seen.includes('completed'), { describe: 'the event completed' });
    expect(calls).toBe(3);
    expect(bodies).toEqual([item.callback.body]);
    expect(seen.slice(0, 2)).toEqual(given.first);
    await Promise.all([worker.close(), events.close(), bullQueue.close()]);
  });
});

describe('what it decides', () => {
  test('queues once when the same callback is 16 times in one batch and also in others', async () => {
    const reference = newReference();
    const batches = Array.from({ length: 10 }, () => accept(Array.from({ length: 16 }, () => itemOf({ reference }))));
    const outcomes = (await Promise.all(batches)).flatMap((batch) => batch.outcomes);
    expect(outcomes.filter((outcome) => outcome === 'queued')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(159);
    expect(await waiting()).toBe(1);
    const [claim] = await readClaims(redis, queue, [digestFor(reference)]);
    expect(claim).toMatchObject({ duplicates: 159, status: 'success', amount: '100KES', sequence: 0 });
  });

  test('recognizes a repeated call as its own, not as a duplicate', async () => {
    const item = itemOf();
    expect(await outcomesOf(item)).toEqual(['queued']);
    expect(await outcomesOf(item)).toEqual(['queued']);
    expect(await waiting()).toBe(1);
  });

  test('leaves nothing claimed that is not queued if a batch fails in the middle', async () => {
    const broken = itemOf();
    const items = [itemOf(), broken, itemOf()];
    const key = `${queue.base}:${jobIdOf(digestFor(broken.callback.gatewayReference), broken.nonce)}`;
    await redis.set(key, 'not what belongs here');
    await expect(accept(items)).rejects.toThrow('WRONGTYPE');
    expect(await redis.exists(`${queue.base}:marker`)).toBe(1); // workers are woken for what is queued
    await redis.del(key);
    expect(await outcomesOf(...items)).toEqual(['queued', 'queued', 'queued']);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual(
      items.map(({ callback, nonce }) => jobIdOf(digestFor(callback.gatewayReference), nonce)).toReversed(),
    );
  });

  test.for(['wait', 'id', 'events', 'marker'])(
    'accepts the whole batch on the next try if the key %s could not be written',
    async (name) => {
      const items = Array.from({ length: 3 }, () => itemOf());
      const ids = items.map(({ callback, nonce }) => jobIdOf(digestFor(callback.gatewayReference), nonce));
      const key = `${queue.base}:${name}`;
      await listenTo(); // otherwise no event is written
      await redis.set(key, 'not what belongs here');
      await expect(accept(items)).rejects.toThrow(/WRONGTYPE|not an integer/);
      await redis.del(key);
      expect(await outcomesOf(...items)).toEqual(['queued', 'queued', 'queued']);
      expect((await redis.lrange(`${queue.base}:wait`, 0, -1)).toSorted()).toEqual(ids.toSorted());
    },
  );

  test.for([
    ['another terminal status', { status: 'failed' }],
    ['another final amount', { amount: '100.01' }],
  ] as const)('calls %s a conflict, keeps its body once, and queues nothing', async ([, change]) => {
    const reference = newReference();
    await accept([itemOf({ reference })]);
    const contradiction = itemOf({ reference, ...change });
    expect(await outcomesOf(contradiction, itemOf({ reference, ...change }))).toEqual(['conflict', 'conflict']);
    expect(await waiting()).toBe(1);
    const ids = await redis.zrange(keysOf.quarantine(queue), '0', '-1');
    expect(ids).toHaveLength(1);
    expect(await redis.zrange(keysOf.unverified(queue), '0', '-1')).toEqual(ids);
    const entry = await redis.hgetall(keysOf.quarantineEntry(queue, ids[0] ?? ''));
    expect(entry).toMatchObject({ reason: 'conflict', brand: 'default' });
    expect(jobSchema.parse(JSON.parse(entry['job'] ?? '')).body).toBe(contradiction.callback.body);
    expect(Number(await redis.get(keysOf.quarantineBytes(queue)))).toBe(contradiction.data.length);
  });

  test('keeps the body of a conflict at the next try if the first one fails', async () => {
    const reference = newReference();
    await accept([itemOf({ reference })]);
    await redis.set(keysOf.quarantine(queue), 'not what belongs here');
    const contradiction = itemOf({ reference, status: 'failed' });
    await expect(accept([contradiction])).rejects.toThrow('WRONGTYPE');
    await redis.del(keysOf.quarantine(queue));
    expect(await outcomesOf(contradiction)).toEqual(['conflict']);
    const [id = ''] = await redis.zrange(keysOf.quarantine(queue), '0', '-1');
    expect(await redis.hget(keysOf.quarantineEntry(queue, id), 'job')).toBe(contradiction.data);
    expect(await redis.zrange(keysOf.unverified(queue), '0', '-1')).toEqual([id]);
  });

  test('does not treat a differently written or missing amount as a conflict', async () => {
    const reference = newReference();
    await accept([itemOf({ reference })]);
    expect(await outcomesOf(itemOf({ reference, amount: '1e2' }), itemOf({ reference, amount: 'null' }))).toEqual([
      'duplicate',
      'duplicate',
    ]);
  });

  test('queues another status once, before and after the terminal one, which it never blocks', async () => {
    const reference = newReference();
    const statuses = ['authorized', 'success', 'reversed', 'reversed', 'authorized', 'failed'];
    expect(await outcomesOf(...statuses.map((status) => itemOf({ reference, status })))).toEqual([
      'queued',
      'queued',
      'queued',
      'duplicate',
      'duplicate',
      'conflict',
    ]);
    expect(await waiting()).toBe(3);
  });

  test('still recognizes a duplicate after the job is gone and after a restart of Redis', async () => {
    const reference = newReference();
    await accept([itemOf({ reference })]);
    const bullQueue = new Queue(queue.name, { connection: { url: server.url }, prefix: queue.prefix });
    await bullQueue.drain();
    await bullQueue.close();
    await server.kill('SIGKILL');
    await server.restart();
    await until(() => redis.ping().catch(() => undefined), { describe: 'Redis to be back' });
    expect(await outcomesOf(itemOf({ reference }))).toEqual(['duplicate']);
  });

  test('accepts references with any characters, and keeps each apart', async () => {
    const references = [
      '🙂'.repeat(255),
      'a\u0000b',
      'a\r\nb',
      'ж'.repeat(255),
      '\ud800',
      '\ud801',
      '\ufffd',
      ':{}',
      ',',
    ];
    expect(new Set(await outcomesOf(...references.map((reference) => itemOf({ reference }))))).toEqual(
      new Set(['queued']),
    );
    const again = await outcomesOf(...references.map((reference) => itemOf({ reference, status: 'failed' })));
    expect(new Set(again)).toEqual(new Set(['conflict']));
  });
});

describe('a correction', () => {
  test('replaces an original that waits, under the next sequence', async () => {
    const reference = newReference();
    const original = itemOf({ reference });
    await accept([original]);
    const correction = itemOf({ reference, status: 'failed' }, 'correction');
    expect(await outcomesOf(correction)).toEqual(['queued']);
    const digest = digestFor(reference);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([jobIdOf(digest, correction.nonce)]);
    const data = await redis.hget(keysOf.job(queue, jobIdOf(digest, correction.nonce)), 'data');
    expect(jobSchema.parse(JSON.parse(data ?? ''))).toMatchObject({
      sequence: 1,
      source: 'correction',
      status: 'failed',
    });
    const replaced = keysOf.job(queue, jobIdOf(digest, original.nonce));
    expect(JSON.parse((await redis.hget(replaced, 'returnvalue')) ?? '')).toEqual({ superseded: true });
    expect(await redis.zscore(`${queue.base}:completed`, jobIdOf(digest, original.nonce))).not.toBeNull();
  });

  test('replaces an original in the same batch', async () => {
    const reference = newReference();
    const correction = itemOf({ reference, status: 'failed' }, 'correction');
    expect(await outcomesOf(itemOf({ reference }), correction)).toEqual(['queued', 'queued']);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([jobIdOf(digestFor(reference), correction.nonce)]);
  });

  test('is accepted on the next try if it could not be written, and the original stays until then', async () => {
    const reference = newReference();
    const original = itemOf({ reference });
    await accept([original]);
    const correction = itemOf({ reference, status: 'failed' }, 'correction');
    const jobKey = `${queue.base}:${jobIdOf(digestFor(reference), correction.nonce)}`;
    await redis.set(jobKey, 'not what belongs here');
    await expect(accept([correction])).rejects.toThrow('WRONGTYPE');
    const [claim] = await readClaims(redis, queue, [digestFor(reference)]);
    expect(claim).toMatchObject({ nonce: original.nonce, sequence: 0, status: 'success' });
    await redis.del(jobKey);
    expect(await outcomesOf(correction)).toEqual(['queued']);
    expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([jobIdOf(digestFor(reference), correction.nonce)]);
  });

  test('is a duplicate if it agrees with the claim, and is queued once when handed in twice', async () => {
    const reference = newReference();
    await accept([itemOf({ reference })]);
    expect(await outcomesOf(itemOf({ reference }, 'correction'))).toEqual(['duplicate']);
    const correction = itemOf({ reference, amount: '90.00' }, 'correction');
    expect(await outcomesOf(correction, correction, itemOf({ reference, amount: '90.00' }, 'correction'))).toEqual([
      'queued',
      'queued',
      'duplicate',
    ]);
    expect((await readClaims(redis, queue, [digestFor(reference)]))[0]).toMatchObject({ sequence: 1, amount: '90KES' });
  });

  test('marks an original that is being delivered', async () => {
    const reference = newReference();
    const original = itemOf({ reference });
    await accept([original]);
    await redis.rpoplpush(`${queue.base}:wait`, `${queue.base}:active`);
    await accept([itemOf({ reference, status: 'failed' }, 'correction')]);
    const jobKey = keysOf.job(queue, jobIdOf(digestFor(reference), original.nonce));
    expect(await redis.hget(jobKey, 'superseded')).toBe('1');
    expect(await redis.hget(jobKey, 'finishedOn')).toBeNull();
  });
});
