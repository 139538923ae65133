// With CONFIRM=before: a worker takes a promoted job, and the gateway's answer arrives before the worker returns it.
import { Worker } from 'bullmq';
import { expect, test } from 'vitest';
import { createProcessor } from '../../src/deliver/process-job.ts';
import { terminalKind } from '../../src/callback/identity.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { settleConfirmation, type GatewayWord } from '../../src/store/confirmation/settle-confirmation.ts';
import { unconfirmedMember } from '../../src/store/confirmation/unconfirmed.ts';
import { createJobReader } from '../../src/store/callbacks/read-callbacks.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

test.each([
  [
    { answer: 'no', reason: 'denied' },
    { place: 'held', heldReason: 'denied', confirmed: 'denied' },
  ],
  [
    { answer: 'otherwise', reason: 'differs' },
    { place: 'held', heldReason: 'differs', confirmed: 'denied' },
  ],
  [{ answer: 'yes' }, { place: 'wait', heldReason: undefined, confirmed: 'yes' }],
  [{ answer: 'open' }, { place: 'wait', heldReason: undefined, confirmed: 'open' }],
] satisfies [GatewayWord, object][])(
  'the answer %j that arrives while a worker returns the job counts',
  async (word, expected) => {
    await using rig = await createRig(redis);
    const { queue, connection } = rig;
    const { id: jobId = '', data } = await rig.add();
    const asked = { gatewayReference: String(data.gatewayReference), kind: terminalKind, jobId };
    await connection.zadd(keysOf.unconfirmed(queue), 0, unconfirmedMember(asked));

    const worker = new Worker(queue.name, null, { connection, prefix: queue.prefix });
    const job = await worker.getNextJob('token');
    const askedWhile = new Proxy(connection, {
      get(target, name) {
        if (name === 'time') return async () => (await settleConfirmation(target, queue, [asked], word), target.time());
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const process = createProcessor({
      queue,
      redis: askedWhile,
      attempt: () => Promise.reject(new Error('delivered')),
      breaker: undefined,
      slots: { maxPerBrand: 1, take: () => Promise.reject(new Error('delivered')), dismiss() {}, close() {} },
      records: { take() {}, release() {}, delivered() {} },
      scheduleMs: [],
      confirmWaitMs: 60_000,
      stop: new AbortController().signal,
      log: createLog({ level: 'silent' }),
      metrics: createMetrics(),
      now: Date.now,
      random: Math.random,
    });
    await expect(process(job, 'token')).rejects.toMatchObject({ name: 'WaitingError' });
    expect(await createJobReader(connection)(queue, [jobId], { withLogs: false })).toMatchObject([expected]);
    await worker.close();
  },
);
