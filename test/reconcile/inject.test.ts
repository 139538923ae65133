// The outcomes of injecting: a callback that arrives at the same moment is not counted as missing, and one that cannot be
// stored is found again.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inject } from '../../src/reconcile/inject.ts';
import { injectTruth } from '../../src/reconcile/sweep/settle.ts';
import { parseTransaction } from '../../src/reconcile/gateway/transaction.ts';
import { callbackBody } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, type Rig } from './reconcile-rig.ts';

const { server: redis } = await withRedis({ durable: false });
let rig: Rig;
beforeAll(async () => {
  rig = await createRig({ redisUrl: redis.url });
});
afterAll(async () => {
  await rig.close();
});

const missing = () => rig.metrics.registry.getSingleMetricAsString('payalo_reconciliation_missing_total');

function found() {
  const transaction = parseTransaction(callbackBody());
  if (transaction === undefined) throw new Error('no transaction');
  return transaction;
}

test.for([
  [{ kind: 'queued' }, 'stored', 'injected', 1],
  [{ kind: 'spooled' }, 'stored', 'injected', 1],
  [{ kind: 'duplicate' }, 'known', 'known', 0],
  [{ kind: 'conflict' }, 'known', 'known', 0],
  [{ kind: 'ignored', status: 'pending' }, 'known', 'known', 0],
  [{ kind: 'overtaken' }, 'overtaken', 'overtaken', 0],
  [{ kind: 'unavailable', reason: 'it is full' }, 'unavailable', 'unstored', 0],
] as const)('the intake outcome %j is reported as %s', async ([outcome, injection, settled, counted]) => {
  const transaction = found();
  const before = Number(/ (\d+)$/m.exec(await missing())?.[1]);
  const scope = rig.scopeSaying(outcome);
  const by = { source: 'status', requestId: 'sweep-1' } as const;
  expect(await inject(scope, { ...by, callback: transaction.callback })).toBe(injection);
  const nothingHere = { claim: undefined, isRemoved: false, terminalSinceMs: 0 };
  const classified = { transaction, classification: 'missing', ...nothingHere } as const;
  expect(await injectTruth(scope, transaction, classified, by)).toBe(settled);
  expect(Number(/ (\d+)$/m.exec(await missing())?.[1])).toBe(before + 2 * counted);
  const reason = outcome.kind === 'unavailable' ? { reason: 'it is full' } : {};
  expect(rig.logged('reconcile.injected').at(-1)).toMatchObject({ outcome: outcome.kind, ...reason });
});
