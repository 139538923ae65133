// Single transactions looked up by status: expectations, the long pending, and conflicts to be verified.
//
// Each kind is a sorted set in Redis by the time of the next look-up, so nothing is lost with a process. What has come
// meanwhile asks the gateway nothing; no transaction is asked for more often than the gateway's manners allow.
import { isTerminal, kindOf, terminalKind } from '../callback/identity.ts';
import { parseCallbackText, type Callback } from '../callback/parse-callback.ts';
import { agrees, claimAmount, type Claim } from '../queue/claims.ts';
import {
  dueExpectations,
  expectedMerchantReference,
  noteUnknownExpectation,
  postponeExpectation,
  registerExpectation,
  settleExpectations,
} from '../queue/expectations.ts';
import { findClaims } from '../queue/find-claims.ts';
import {
  dueConflicts,
  keepConflict,
  postponeConflict,
  removeConflict,
  type UnverifiedConflict,
} from '../queue/unverified-conflicts.ts';
import { dueWatched, postponeWatched, unwatch, watch, type Watched } from '../queue/watched.ts';
import type { BrandScope } from './brand-scope.ts';
import { describeFailure } from './gateway-client.ts';
import { inParallel } from './in-parallel.ts';
import { isTooOld } from './judge.ts';
import { judgePage } from './judge-page.ts';
import { putIn } from './put-in.ts';
import { watchAfterMs } from './sweep-window.ts';

/** The gateway's manners: one transaction at most every two minutes. */
const politeMs = 120_000;
const dayMs = 86_400_000;
const batchMax = 100;
const atOnceMax = 8;

/** Looks up whatever is due; true where more is due than one batch takes. */
export async function lookUpDue(scope: BrandScope, requestId: string, signal: AbortSignal): Promise<boolean> {
  const full = [
    await lookUpExpectations(scope, requestId, signal),
    await lookUpWatched(scope, requestId, signal),
    await verifyConflicts(scope, requestId, signal),
  ];
  return full.some((due) => due >= batchMax);
}

async function lookUpExpectations(scope: BrandScope, requestId: string, signal: AbortSignal): Promise<number> {
  const { redis, queue, clock } = scope;
  const due = await dueExpectations(redis, queue, clock.now(), batchMax);
  const claims = await terminalClaims(scope, due);
  await settleExpectations(
    redis,
    queue,
    due.filter((_, index) => claims[index] !== undefined),
  );
  const open = due.filter((_, index) => claims[index] === undefined);
  await inParallel(open, atOnceMax, (reference) => lookUpExpectation(scope, reference, requestId, signal));
  return due.length;
}

async function lookUpExpectation(
  scope: BrandScope,
  reference: string,
  requestId: string,
  signal: AbortSignal,
): Promise<void> {
  const { redis, queue, gateway, clock, log, brand, limits } = scope;
  const answer = await gateway.status(reference, signal);
  const nowMs = clock.now();
  const againMs = nowMs + Math.max(Math.min(politeMs, limits.graceMs), 1);
  if (answer.kind === 'not-found') {
    const known = await referenceByMerchant(scope, reference, signal);
    if (known !== undefined) {
      log.warn({ event: 'reconcile.expectation_renamed', brand, gatewayReference: reference, known, requestId });
      await registerExpectation(redis, queue, { gatewayReference: known }, nowMs);
      return settleExpectations(redis, queue, [reference]);
    }
    const sinceMs = await noteUnknownExpectation(redis, queue, reference, nowMs);
    const givenUp = nowMs - sinceMs >= dayMs;
    log.warn({ event: 'reconcile.expectation_unknown', brand, gatewayReference: reference, requestId, givenUp });
    if (givenUp) await settleExpectations(redis, queue, [reference]);
    else await postponeExpectation(redis, queue, reference, againMs);
    return;
  }
  if (answer.kind !== 'found') {
    log.warn({
      event: 'reconcile.look_up_failed',
      brand,
      gatewayReference: reference,
      reason: describeFailure(answer),
    });
    return postponeExpectation(redis, queue, reference, againMs);
  }
  const { callback, createdAtMs = nowMs } = answer.transaction;
  if (isTerminal(callback.status)) {
    const result = await putIn(scope, { callback, source: 'status', requestId });
    if (result === 'unavailable') return postponeExpectation(redis, queue, reference, againMs);
  }
  // From here on the sweeps see it, and the watch once it has been pending for long.
  if (callback.status === 'pending') {
    const dueMs = Math.max(createdAtMs + watchAfterMs, againMs);
    await watch(redis, queue, [{ gatewayReference: reference, createdAtMs, dueMs }]);
  }
  return settleExpectations(redis, queue, [reference]);
}

/** The gateway's own reference, where it knows the transaction only by the merchant's. */
async function referenceByMerchant(
  { redis, queue, gateway }: BrandScope,
  reference: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const merchantReference = await expectedMerchantReference(redis, queue, reference);
  if (merchantReference === null) return undefined;
  const answer = await gateway.statusByMerchantReference(merchantReference, signal);
  if (answer.kind !== 'found') return undefined;
  const { gatewayReference } = answer.transaction.callback;
  return gatewayReference === reference ? undefined : gatewayReference;
}

async function lookUpWatched(scope: BrandScope, requestId: string, signal: AbortSignal): Promise<number> {
  const { redis, queue, clock } = scope;
  const due = await dueWatched(redis, queue, clock.now(), batchMax);
  const references = due.map(({ gatewayReference }) => gatewayReference);
  const claims = await terminalClaims(scope, references);
  await unwatch(
    redis,
    queue,
    references.filter((_, index) => claims[index] !== undefined),
  );
  const open = due.filter((_, index) => claims[index] === undefined);
  await inParallel(open, atOnceMax, (watched) => lookUpOneWatched(scope, watched, requestId, signal));
  return due.length;
}

async function lookUpOneWatched(
  scope: BrandScope,
  { gatewayReference, createdAtMs }: Watched,
  requestId: string,
  signal: AbortSignal,
): Promise<void> {
  const { redis, queue, gateway, clock, log, brand, limits } = scope;
  const nowMs = clock.now();
  const againMs = nowMs + watchIntervalMs(nowMs - createdAtMs);
  if (isTooOld(createdAtMs, nowMs, limits)) {
    log.warn({ event: 'reconcile.pending_given_up', brand, gatewayReference });
    return unwatch(redis, queue, [gatewayReference]);
  }
  const answer = await gateway.status(gatewayReference, signal);
  if (answer.kind !== 'found') {
    log.warn({ event: 'reconcile.look_up_failed', brand, gatewayReference, reason: describeFailure(answer) });
    return postponeWatched(redis, queue, gatewayReference, againMs);
  }
  const [judged] = await judgePage(scope, [answer.transaction]);
  switch (judged?.judgement) {
    case 'pending':
      return postponeWatched(redis, queue, gatewayReference, againMs);
    case 'early':
      return postponeWatched(redis, queue, gatewayReference, judged.terminalSinceMs + limits.graceMs);
    case 'missing': {
      const result = await putIn(scope, { callback: answer.transaction.callback, source: 'status', requestId });
      if (result === 'unavailable') return postponeWatched(redis, queue, gatewayReference, againMs);
      return unwatch(redis, queue, [gatewayReference]);
    }
    // What differs is the sweeps' to correct.
    case 'known':
    case 'differs':
    case 'other':
    case 'tooOld':
    case undefined:
      return unwatch(redis, queue, [gatewayReference]);
  }
}

/** The older it is, the rarer: about forty look-ups in its first day. */
export function watchIntervalMs(ageMs: number): number {
  return Math.max(politeMs, ageMs / 10);
}

async function verifyConflicts(scope: BrandScope, requestId: string, signal: AbortSignal): Promise<number> {
  const due = await dueConflicts(scope.redis, scope.queue, scope.clock.now(), batchMax);
  // Two conflicts of one transaction must not be decided on one claim at once.
  for (const conflict of due) await verifyConflict(scope, conflict, requestId, signal);
  return due.length;
}

async function verifyConflict(
  scope: BrandScope,
  conflict: UnverifiedConflict,
  requestId: string,
  signal: AbortSignal,
): Promise<void> {
  const { redis, queue, gateway, clock, log, brand } = scope;
  const { id, gatewayReference } = conflict;
  const answer = await gateway.status(gatewayReference, signal);
  const truth = answer.kind === 'found' ? answer.transaction.callback : undefined;
  const claim = truth === undefined ? undefined : await claimOf(scope, truth);
  const decision = decide(conflict, truth, claim);
  log.info({ event: 'reconcile.conflict_verified', brand, gatewayReference, requestId, decision });
  switch (decision) {
    case 'unverifiable': {
      const nowMs = clock.now();
      if (nowMs - conflict.receivedAtMs < dayMs) return postponeConflict(redis, queue, id, nowMs + politeMs);
      return keepConflict(redis, queue, id, 'The gateway could not be asked whether this or the first callback holds.');
    }
    case 'refuted':
      return keepConflict(redis, queue, id, 'The gateway says otherwise: what was delivered holds, this does not.');
    case 'confirmed':
      if (await isCorrected(scope, truth, claim, requestId)) return removeConflict(redis, queue, id);
      return postponeConflict(redis, queue, id, clock.now() + politeMs);
    case 'superseded':
      if (await isCorrected(scope, truth, claim, requestId))
        return keepConflict(redis, queue, id, 'The gateway says a third thing: its word was delivered, not this.');
      return postponeConflict(redis, queue, id, clock.now() + politeMs);
  }
}

/** Delivers the gateway's word; true where it is stored, now or before. */
async function isCorrected(
  scope: BrandScope,
  truth: Callback | undefined,
  claim: Claim | undefined,
  requestId: string,
): Promise<boolean> {
  if (truth === undefined || claim === undefined) return false;
  const result = await putIn(scope, { callback: truth, source: 'correction', replaces: claim, requestId });
  return result === 'stored' || result === 'known';
}

async function claimOf({ redis, queue }: BrandScope, { gatewayReference, status }: Callback) {
  const kind = kindOf(status);
  return kind === undefined ? undefined : (await findClaims(redis, queue, [{ gatewayReference, kind }]))[0];
}

type Decision =
  /** The gateway says what the conflict says. */
  | 'confirmed'
  /** The gateway says what was delivered. */
  | 'refuted'
  /** The gateway says a third thing. */
  | 'superseded'
  | 'unverifiable';

function decide({ body }: UnverifiedConflict, truth: Callback | undefined, claim: Claim | undefined): Decision {
  const parsed = parseCallbackText(body);
  if (truth === undefined || parsed.kind !== 'callback') return 'unverifiable';
  const kind = kindOf(truth.status);
  if (kind === undefined || kind !== kindOf(parsed.callback.status)) return 'unverifiable';
  if (claim === undefined) return 'unverifiable'; // forgotten: a correction would have nothing to correct
  if (saysTheSame(parsed.callback, truth)) return 'confirmed';
  return agrees(claim, truth.status, truth.finalAmount) ? 'refuted' : 'superseded';
}

/** As `agrees`: an amount that one of them does not name contradicts nothing. */
function saysTheSame(a: Callback, b: Callback): boolean {
  const [amountA, amountB] = [claimAmount(a.finalAmount), claimAmount(b.finalAmount)];
  return a.status === b.status && (amountA === amountB || amountA === '' || amountB === '');
}

function terminalClaims(scope: BrandScope, references: readonly string[]): Promise<(Claim | undefined)[]> {
  const { redis, queue } = scope;
  return findClaims(
    redis,
    queue,
    references.map((gatewayReference) => ({ gatewayReference, kind: terminalKind })),
  );
}
