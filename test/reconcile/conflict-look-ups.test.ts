// For a conflict the service asks the gateway which callback is true: it delivers the gateway's result, and a callback that
// is not confirmed stays in quarantine with the reason.
import { describe, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const politeMs = 2 * minuteMs;

const { server: redis } = await withRedis();

/** Disables other look-ups of the same transaction. */
const rigOf = () => createRig({ redisUrl: redis.url, environment: { CONFIRM: 'off' } });

describe('a conflict', () => {
  /** A success that was received, then contradicted by a callback that says failed. */
  async function contradict(rig: Rig) {
    const [transaction] = rig.gateway.addTransactions({ createdAt: isoAgo(10 * minuteMs) });
    const reference = transaction?.gatewayReference ?? '';
    const original = rig.gateway.bodyOf(reference);
    await rig.receive(original);
    const contradiction = original.replace('"success"', '"failed"');
    expect(await rig.receive(contradiction)).toEqual({ kind: 'conflict' });
    return { reference, original };
  }
  const quarantined = (rig: Rig) => rig.redis.zcard(keysOf.quarantine(rig.queue));
  const unverified = (rig: Rig) => rig.redis.zcard(keysOf.unverified(rig.queue));
  /** The reason for which the conflict is kept. */
  async function kept(rig: Rig) {
    const [id = ''] = await rig.redis.zrange(keysOf.quarantine(rig.queue), '0', '-1');
    return rig.redis.hget(keysOf.quarantineEntry(rig.queue, id), 'detail');
  }

  test('that the gateway confirms is delivered once as a correction, and leaves the quarantine', async () => {
    await using rig = await rigOf();
    const { reference } = await contradict(rig);
    await rig.gateway.correct(reference, { status: 'failed' });
    await lookUp(rig);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', sequence: 1, status: 'failed' }]);
    expect(await quarantined(rig)).toBe(0);
    expect(await unverified(rig)).toBe(0);
    expect(await rig.redis.get(keysOf.quarantineBytes(rig.queue))).toBe('0');
  });

  test('that the gateway refutes delivers nothing, and stays in quarantine', async () => {
    await using rig = await rigOf();
    const { original } = await contradict(rig);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'callback', body: original }]);
    expect(await quarantined(rig)).toBe(1);
    expect(await unverified(rig)).toBe(0);
  });

  test('that cannot be verified stays in quarantine, and is looked up again later', async () => {
    await using rig = await rigOf();
    const { reference } = await contradict(rig);
    await rig.gateway.correct(reference, { status: 'failed' });
    rig.gateway.setOutage({ kind: 'answer', status: 403 });
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'callback' }]);
    const [id] = await rig.redis.zrange(keysOf.quarantine(rig.queue), '0', '-1');
    expect(await rig.redis.hget(keysOf.quarantineEntry(rig.queue, id ?? ''), 'reason')).toBe('conflict');
    rig.gateway.setOutage(null);
    rig.clock.advance(3 * minuteMs);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', status: 'failed' }]);
  });

  test('that was corrected by a sweep meanwhile is not corrected again', async () => {
    await using rig = await rigOf();
    const { reference } = await contradict(rig);
    await rig.gateway.correct(reference, { status: 'failed' });
    const window = { fromMs: rig.clock.now() - hourMs, toMs: rig.clock.now() };
    expect(await sweepWindow(rig.scope, window, sweepMode(), signal)).toMatchObject({ counts: { corrections: 1 } });
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', sequence: 1 }]);
    expect(await quarantined(rig)).toBe(0);
  });

  test('for which the gateway has a third result delivers that once, and stays in quarantine as never confirmed', async () => {
    await using rig = await rigOf();
    const { reference } = await contradict(rig);
    await rig.gateway.correct(reference, { status: 'success', percentPaid: 50n });
    await lookUp(rig);
    rig.clock.advance(politeMs + 1);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([
      { source: 'correction', sequence: 1, status: 'success', body: rig.gateway.bodyOf(reference) },
    ]);
    expect(rig.gateway.calls().status).toBe(1);
    expect([await quarantined(rig), await unverified(rig)]).toEqual([1, 0]);
    expect(await kept(rig)).toBe(
      'The gateway confirms neither this callback nor the earlier one; its own result was delivered.',
    );
  });

  test.for([
    ['confirmed', { status: 'failed' }, 0],
    ['for which it has a third result', { status: 'success', percentPaid: 50n }, 1],
  ] as const)(
    'that is %s, while the result cannot be stored, is looked up again two minutes later',
    async ([, truth, left]) => {
      await using rig = await rigOf();
      const { reference, original } = await contradict(rig);
      await rig.gateway.correct(reference, truth);
      await lookUp({ scope: rig.scopeSaying({ kind: 'unavailable', reason: 'it is full' }) });
      expect(await rig.jobs()).toMatchObject([{ source: 'callback', body: original }]);
      expect([await quarantined(rig), await unverified(rig)]).toEqual([1, 1]);
      expect(await kept(rig)).toMatch(/^Another status or final amount/);
      rig.clock.advance(politeMs - minuteMs);
      await lookUp(rig);
      expect(rig.gateway.calls().status).toBe(1);
      rig.clock.advance(minuteMs + 1);
      await lookUp(rig);
      expect(await rig.jobs()).toMatchObject([{ source: 'correction', sequence: 1, status: truth.status }]);
      expect([await quarantined(rig), await unverified(rig)]).toEqual([left, 0]);
    },
  );

  test.for([
    ['cannot be asked', true],
    ['does not know the transaction', false],
  ] as const)('of which the gateway %s is given up after a day, and stays in quarantine', async ([, isOut]) => {
    await using rig = await rigOf();
    const { original } = await contradict(rig);
    rig.gateway.setOutage({ kind: 'answer', status: isOut ? 403 : 404 });
    for (let hours = 0; hours < 24; hours += 1) {
      await lookUp(rig);
      expect(await unverified(rig)).toBe(1);
      rig.clock.advance(hourMs);
    }
    const calls = rig.gateway.calls().status;
    expect(calls).toBe(24);
    await lookUp(rig);
    expect([await quarantined(rig), await unverified(rig)]).toEqual([1, 0]);
    expect(await kept(rig)).toBe('The gateway could not be asked which of the two callbacks is true.');
    rig.clock.advance(hourMs);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(calls + 1);
    expect(await rig.jobs()).toMatchObject([{ source: 'callback', body: original }]);
  });
});
