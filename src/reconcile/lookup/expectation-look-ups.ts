// Looks up expectations: transactions that the merchant announced. Those whose callback has come cost no call.
import { isTerminal } from '../../callback/identity.ts';
import {
  noteUnknownExpectation,
  registerExpectation,
  settleExpectations,
} from '../../store/reconciliation/expectations.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import { dueMembers, postpone } from '../../redis/due.ts';
import { watch } from '../../store/reconciliation/watched.ts';
import type { BrandScope } from '../brand-scope.ts';
import { describeFailure, type StatusAnswer } from '../gateway/gateway-client.ts';
import { isTooOld } from '../sweep/classify.ts';
import type { LookedUp, LookUps } from './look-up-lane.ts';
import { inject } from '../inject.ts';
import { terminalClaims } from '../sweep/terminal-claims.ts';
import type { Transaction } from '../gateway/transaction.ts';
import { askAgainMs, watchAfterMs } from '../sweep/watch-unfinished.ts';

const dayMs = 86_400_000;
const waitMaxMs = 3_600_000;
const lane = 'expectations';

export function expectationLookUps(scope: BrandScope): LookUps<string> {
  const { redis, queue, clock, limits } = scope;
  const aheadMaxMs = Math.max(limits.graceMs, waitMaxMs);
  return {
    name: lane,
    async due(limit) {
      const due = await dueMembers(redis, keysOf.expectations(queue), { nowMs: clock.now(), aheadMaxMs, limit });
      const claims = await terminalClaims(scope, due);
      await settleExpectations(
        redis,
        queue,
        due.filter((_, index) => claims[index] !== undefined),
      );
      return due.filter((_, index) => claims[index] === undefined);
    },
    keyOf: (reference) => reference,
    lookUp: (reference, requestId, signal) => lookUp(scope, reference, requestId, signal),
    defer: (reference, waitMs) => defer(scope, reference, waitMs),
  };
}

async function lookUp(scope: BrandScope, reference: string, requestId: string, signal: AbortSignal): Promise<LookedUp> {
  const { gateway, log } = scope;
  const answer = await gateway.status(reference, lane, signal);
  switch (answer.kind) {
    case 'found':
      await takeFound(scope, reference, answer.transaction, requestId);
      return 'done';
    case 'not-found':
      await takeUnknown(scope, reference, requestId, signal);
      return 'done';
    case 'refused':
      await putOffUnknown(scope, reference, answer, requestId);
      return 'done';
    case 'unauthorized':
    case 'unavailable':
      log.warn({ ...failedLine(scope, reference, requestId), reason: describeFailure(answer) });
      return 'unanswered';
  }
}

async function takeUnknown(
  scope: BrandScope,
  reference: string,
  requestId: string,
  signal: AbortSignal,
): Promise<void> {
  const { redis, queue, log, brand, clock } = scope;
  const known = await referenceByMerchant(scope, reference, signal);
  if (known === undefined) return putOffUnknown(scope, reference, { kind: 'not-found' }, requestId);
  log.warn({ event: 'reconcile.expectation_renamed', brand, gatewayReference: reference, known, requestId });
  await registerExpectation(redis, queue, { gatewayReference: known }, clock.now());
  return settleExpectations(redis, queue, [reference]);
}

async function takeFound(
  scope: BrandScope,
  reference: string,
  { callback, createdAtMs: saidMs }: Transaction,
  requestId: string,
): Promise<void> {
  const { redis, queue, clock, limits } = scope;
  const nowMs = clock.now();
  const createdAtMs = Math.min(saidMs ?? nowMs, nowMs);
  if (isTerminal(callback.status)) {
    const result = await inject(scope, { callback, source: 'status', requestId });
    if (result === 'unavailable') return defer(scope, reference, askAgainMs(limits));
  } else if (!isTooOld(createdAtMs, nowMs, limits)) {
    // From now on the sweeps see it, and the watch list once it has been unfinished for long.
    const dueMs = Math.max(createdAtMs + watchAfterMs(limits), nowMs + askAgainMs(limits));
    const isPending = callback.status === 'pending';
    const one = { gatewayReference: reference, createdAtMs, dueMs, isPending } as const;
    if ((await watch(redis, queue, [{ ...one, over: 'keep' }])) > 0) return defer(scope, reference, waitMaxMs);
  }
  return settleExpectations(redis, queue, [reference]);
}

/** The gateway's own reference, if it knows the transaction only by the merchant's. */
async function referenceByMerchant(
  { redis, queue, gateway }: BrandScope,
  reference: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const merchantReference = await redis.hget(keysOf.expectedMerchantReferences(queue), reference);
  if (merchantReference === null) return undefined;
  const answer = await gateway.statusByMerchantReference(merchantReference, lane, signal);
  if (answer.kind !== 'found') return undefined;
  const { gatewayReference } = answer.transaction.callback;
  return gatewayReference === reference ? undefined : gatewayReference;
}

/** An unknown or refused reference is asked about ever more rarely, for a day: the answer seldom changes. */
async function putOffUnknown(
  scope: BrandScope,
  reference: string,
  answer: Exclude<StatusAnswer, { kind: 'found' }>,
  requestId: string,
): Promise<void> {
  const { redis, queue, clock, log, brand, limits } = scope;
  const unknownMs = await noteUnknownExpectation(redis, queue, reference, clock.now());
  const givenUp = unknownMs >= dayMs;
  if (answer.kind === 'not-found')
    log.warn({ event: 'reconcile.expectation_unknown', brand, gatewayReference: reference, requestId, givenUp });
  else log.warn({ ...failedLine(scope, reference, requestId), reason: describeFailure(answer), givenUp });
  if (givenUp) return settleExpectations(redis, queue, [reference]);
  return defer(scope, reference, Math.min(Math.max(unknownMs, askAgainMs(limits)), waitMaxMs));
}

function defer({ redis, queue, clock }: BrandScope, reference: string, waitMs: number): Promise<void> {
  return postpone(redis, keysOf.expectations(queue), reference, clock.now() + waitMs);
}

function failedLine({ brand }: BrandScope, gatewayReference: string, requestId: string) {
  return { event: 'reconcile.look_up_failed', brand, gatewayReference, requestId } as const;
}
