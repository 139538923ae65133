// A brand that was moved: its callbacks under former names, and new callbacks under any of its names.
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { jobSchema } from '../../src/callback/job.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { moveBrand } from '../../src/store/brands/brand-move.ts';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { erase } from '../../src/store/lifecycle/erase.ts';
import { registerExpectedAmount } from '../../src/store/reconciliation/expected-amounts.ts';
import { registerExpectation } from '../../src/store/reconciliation/expectations.ts';
import { moveOf } from '../support/brand-moves.ts';
import { newReference } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';

const dayMs = 86_400_000;
const { server, redis } = await withRedis({ durable: false });

describe('under the new name', () => {
  /** The same prefix, one brand each. */
  async function brands() {
    const prefix = `{${randomUUID()}}`;
    const [a, b, c] = ['default', 'acme', 'umbrella'].map((name) => createStoredCallbacks(server.url, name, prefix));
    if (a === undefined || b === undefined || c === undefined) throw new Error('three brands');
    const disposables = new AsyncDisposableStack();
    for (const stored of [a, b, c]) disposables.use(stored);
    const find = async ({ queue }: StoredCallbacks, reference: string) =>
      createCallbackIndex({ redis, queues: new Map([[queue.brand, queue]]) }).find(reference);
    const idOf = async (stored: StoredCallbacks, reference: string) =>
      (await find(stored, reference))?.callback.webhookId;
    return { a, b, c, find, idOf, [Symbol.asyncDispose]: () => disposables.disposeAsync() };
  }

  test('a duplicate is recognized, a contradiction is kept, and a correction has the old name’s next id', async () => {
    await using world = await brands();
    const { a, b, find, idOf } = world;
    const reference = await a.store();
    await a.deliver();
    const first = await idOf(a, reference);
    await moveBrand(moveOf(redis, a.queue, b.queue));
    expect(await idOf(b, reference)).toBe(first);
    await b.store({ reference });
    await b.store({ reference, status: 'failed' });
    expect((await find(b, reference))?.callback).toMatchObject({ duplicates: 2, conflicts: [{ status: 'failed' }] });
    await b.store({ reference, status: 'failed', source: 'correction' });
    const corrected = await find(b, reference);
    expect(corrected?.callback).toMatchObject({ status: 'failed', sequence: 1, brand: 'acme', state: 'queued' });
    expect(corrected?.corrected).toMatchObject([{ webhookId: first }]);

    // What it would have been without the move.
    await using alone = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    await alone.store({ reference });
    await alone.store({ reference, status: 'failed', source: 'correction' });
    expect(corrected?.callback.webhookId).toBe(await idOf(alone, reference));
  });

  test('a correction’s job names the former brand under which the callback came', async () => {
    await using world = await brands();
    const { a, b, c, find } = world;
    const [ofA, ofB] = [await a.store(), await b.store()];
    await moveBrand(moveOf(redis, a.queue, b.queue));
    await moveBrand(moveOf(redis, b.queue, c.queue));
    const ofC = await c.store();
    for (const [reference, identityBrand] of [
      [ofA, 'default'],
      [ofB, 'acme'],
      [ofC, undefined],
    ] as const) {
      await c.store({ reference, status: 'failed', source: 'correction' });
      const jobId = (await find(c, reference))?.callback.jobId ?? '';
      const data = jobSchema.parse(JSON.parse((await redis.hget(keysOf.job(c.queue, jobId), 'data')) ?? ''));
      expect(data).toMatchObject({ brand: 'umbrella', status: 'failed', sequence: 1 });
      expect(data.identityBrand).toBe(identityBrand);
    }
  });

  test('a callback is compared with the amount that was registered under a former name', async () => {
    await using world = await brands();
    const { a, b, c, find } = world;
    const reference = newReference();
    const announced = { gatewayReference: reference, amount: { value: '250.00', currency: 'KES' } };
    await registerExpectation(redis, a.queue, { gatewayReference: reference }, Date.now());
    await registerExpectedAmount(redis, a.queue, announced, { keptMs: dayMs, holdMismatched: false });
    await moveBrand(moveOf(redis, a.queue, b.queue));
    await moveBrand(moveOf(redis, b.queue, c.queue));
    await c.store({ reference, amount: '100' });
    const jobId = (await find(c, reference))?.callback.jobId ?? '';
    const data = jobSchema.parse(JSON.parse((await redis.hget(keysOf.job(c.queue, jobId), 'data')) ?? ''));
    expect(data.expectedAmount).toBe('250.00 KES');
    expect(await redis.zrange(keysOf.mismatched(c.queue), '0', '-1')).toEqual([jobId]);
  });

  test('a callback that came under both names before the move is judged by the present name’s claim', async () => {
    await using world = await brands();
    const { a, b, find } = world;
    const reference = await a.store();
    await b.store({ reference, status: 'failed' });
    expect(await moveBrand(moveOf(redis, a.queue, b.queue))).toMatchObject({ kind: 'moved' });
    await b.store({ reference, status: 'failed' });
    expect((await find(b, reference))?.callback).toMatchObject({ status: 'failed', duplicates: 1, conflicts: [] });
    await b.store({ reference });
    expect((await find(b, reference))?.callback).toMatchObject({ duplicates: 2, conflicts: [{ status: 'success' }] });
  });

  test('other statuses, merchant’s references and callbacks with only a claim are found and erased', async () => {
    await using world = await brands();
    const { a, b, find, idOf } = world;
    const reference = await a.store({ merchantReference: 'order-1' });
    await a.deliver();
    await a.store({ reference, merchantReference: 'order-1', status: 'reversed' });
    await a.deliver();
    const gone = await a.store();
    await a.deliver();
    const goneId = await idOf(a, gone);
    await redis.del(keysOf.job(a.queue, (await find(a, gone))?.callback.jobId ?? ''));
    await moveBrand(moveOf(redis, a.queue, b.queue));
    expect(await find(b, reference)).toMatchObject({
      callback: { status: 'success' },
      others: [{ status: 'reversed' }],
    });
    expect((await find(b, gone))?.callback).toMatchObject({ webhookId: goneId, body: null, status: 'success' });
    const callbackIndex = createCallbackIndex({ redis, queues: new Map([['acme', b.queue]]) });
    expect((await callbackIndex.list({ merchantReference: 'order-1', limit: 10 })).data).toHaveLength(2);
    expect((await callbackIndex.list({ limit: 10, status: 'success' })).data.length).toBeGreaterThan(0);
    expect(await erase(redis, b.queue, reference)).toEqual({ kind: 'erased' });
    expect(await find(b, reference)).toMatchObject({ callback: { body: null }, others: [{ body: null }] });
  });

  test('a brand with its own callbacks takes over another one, moves on and back again, and every id stays', async () => {
    await using world = await brands();
    const { a, b, c, find, idOf } = world;
    const ofA = await a.store();
    const ofB = await b.store();
    const ofC = await c.store();
    const ids = await Promise.all([idOf(a, ofA), idOf(b, ofB), idOf(c, ofC)]);
    for (const [from, to] of [
      [a, b],
      [b, c],
      [c, a],
    ] as const) {
      expect(await moveBrand(moveOf(redis, from.queue, to.queue))).toMatchObject({ kind: 'moved' });
      expect(await find(from, ofA)).toBeUndefined();
    }
    expect([await idOf(a, ofA), await idOf(a, ofB), await idOf(a, ofC)]).toEqual(ids);
    for (const reference of [ofA, ofB, ofC]) await a.store({ reference });
    for (const reference of [ofA, ofB, ofC]) expect((await find(a, reference))?.callback.duplicates).toBe(1);
    // Later callbacks for the other names go there too.
    const late = await b.store();
    expect((await find(a, late))?.callback).toMatchObject({ brand: 'default', state: 'queued' });
    await c.store({ reference: ofC });
    expect((await find(a, ofC))?.callback.duplicates).toBe(2);
    expect(await redis.llen(`${a.queue.base}:wait`)).toBe(4);
  });

  test('jobs that a process of an earlier version still puts into the old queue are moved by the next run, duplicates as such', async () => {
    await using world = await brands();
    const { a, b, find, idOf } = world;
    const known = await a.store();
    await moveBrand(moveOf(redis, a.queue, b.queue));
    const lineage = (await redis.get(keysOf.lineage(a.queue))) ?? '';
    await redis.del(keysOf.lineage(a.queue)); // which an earlier version does not read
    await using old = createStoredCallbacks(server.url, 'default', a.prefix);
    const fresh = await old.store();
    await old.store({ reference: known });
    const id = await idOf(a, fresh);
    await redis.set(keysOf.lineage(a.queue), lineage);
    const handedIn: string[] = [];
    const handIn = async ({ data }: { data: string }) => void handedIn.push(data);
    const result = await moveBrand({ ...moveOf(redis, a.queue, b.queue), handIn });
    expect(result).toMatchObject({ kind: 'moved', moved: { jobs: 2 } });
    expect(handedIn.map((data) => JSON.parse(data).gatewayReference)).toEqual([known]);
    expect((await find(b, fresh))?.callback).toMatchObject({ state: 'queued', webhookId: id });
    expect(await redis.llen(`${b.queue.base}:wait`)).toBe(2);
  });

  test('a target that was itself moved away is refused, but moving back is not', async () => {
    await using world = await brands();
    const { a, b, c } = world;
    await a.store();
    await c.store();
    await moveBrand(moveOf(redis, a.queue, b.queue));
    expect(await moveBrand(moveOf(redis, c.queue, a.queue))).toEqual({ kind: 'target-moved', to: 'acme' });
    expect(await moveBrand(moveOf(redis, b.queue, a.queue))).toMatchObject({ kind: 'moved' });
  });

  test('nothing is accepted for either name while claims are copied', async () => {
    await using world = await brands();
    const { a, b } = world;
    const reference = await a.store();
    await moveBrand(moveOf(redis, a.queue, b.queue));
    await redis.set(keysOf.lineageHold(b.queue), 'move', 'PX', 60_000);
    await redis.set(keysOf.lineage(b.queue), JSON.stringify({ formerly: ['default'], move: 'another' }));
    await expect(a.store({ reference })).rejects.toMatchObject({ code: 'BRAND_IS_MOVED' });
    await expect(b.store({ reference })).rejects.toMatchObject({ code: 'BRAND_IS_MOVED' });
    await redis.del(keysOf.lineageHold(b.queue));
    await b.store({ reference });
    expect(await redis.llen(`${b.queue.base}:wait`)).toBe(1);
  });
});
