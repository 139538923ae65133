// Verifies conflicts: asks the gateway about a contradicting callback, and delivers it if it is true.
import { kindOf } from '../../callback/identity.ts';
import { parseCallbackText, type Callback } from '../../callback/parse-callback.ts';
import { agrees, claimAmount, type Claim } from '../../store/accept/claims.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import { postpone } from '../../redis/due.ts';
import { createQuarantineStore } from '../../store/quarantine/quarantine-store.ts';
import {
  dueConflicts,
  keepConflict,
  type UnverifiedConflict,
} from '../../store/reconciliation/unverified-conflicts.ts';
import type { BrandScope } from '../brand-scope.ts';
import type { LookedUp, LookUps } from './look-up-lane.ts';
import { inject } from '../inject.ts';

/** The gateway's rule: at most one call per transaction every two minutes. */
const askAgainMinMs = 120_000;
const dayMs = 86_400_000;

export function conflictLookUps(scope: BrandScope): LookUps<UnverifiedConflict> {
  const { redis, queue, clock } = scope;
  return {
    name: 'conflicts',
    due: (limit) => dueConflicts(redis, queue, { nowMs: clock.now(), aheadMaxMs: askAgainMinMs, limit }),
    // Two conflicts of one transaction must not be decided at the same time.
    keyOf: ({ gatewayReference }) => gatewayReference,
    lookUp: (conflict, requestId, signal) => verify(scope, conflict, requestId, signal),
    defer: (conflict, waitMs) => defer(scope, conflict, waitMs),
  };
}

async function verify(
  scope: BrandScope,
  conflict: UnverifiedConflict,
  requestId: string,
  signal: AbortSignal,
): Promise<LookedUp> {
  const { gateway, clock, log, brand } = scope;
  const { gatewayReference } = conflict;
  const answer = await gateway.status(gatewayReference, 'conflicts', signal);
  const truth = answer.kind === 'found' ? answer.transaction.callback : undefined;
  const claim = truth === undefined ? undefined : await claimOf(scope, truth);
  const decision = decide(conflict, truth, claim);
  log.info({ event: 'reconcile.conflict_verified', brand, gatewayReference, requestId, decision });
  const isFresh = clock.now() - conflict.receivedAtMs < dayMs;
  if (isFresh && (answer.kind === 'unavailable' || answer.kind === 'unauthorized')) return 'unanswered';
  if (decision === 'unverifiable' && isFresh) await defer(scope, conflict);
  else await act(scope, conflict, decision, { truth, claim, requestId });
  return 'done';
}

async function act(
  scope: BrandScope,
  conflict: UnverifiedConflict,
  decision: Decision,
  found: { truth: Callback | undefined; claim: Claim | undefined; requestId: string },
): Promise<void> {
  const { redis, queue } = scope;
  const { id } = conflict;
  switch (decision) {
    case 'unverifiable':
      return keepConflict(redis, queue, id, 'The gateway could not be asked which of the two callbacks is true.');
    case 'refuted':
      return keepConflict(redis, queue, id, 'The gateway confirms what was delivered, not this callback.');
    case 'confirmed':
      if (await isCorrected(scope, found)) return void (await createQuarantineStore(redis, queue).remove(id));
      return defer(scope, conflict);
    case 'superseded':
      if (await isCorrected(scope, found))
        return keepConflict(
          redis,
          queue,
          id,
          'The gateway confirms neither this callback nor the earlier one; its own result was delivered.',
        );
      return defer(scope, conflict);
  }
}

function defer({ redis, queue, clock }: BrandScope, { id }: UnverifiedConflict, waitMs = askAgainMinMs): Promise<void> {
  return postpone(redis, keysOf.unverified(queue), id, clock.now() + waitMs);
}

/** Delivers the gateway's result; true if it is stored, now or before. */
async function isCorrected(
  scope: BrandScope,
  { truth, claim, requestId }: { truth: Callback | undefined; claim: Claim | undefined; requestId: string },
): Promise<boolean> {
  if (truth === undefined || claim === undefined) return false;
  const result = await inject(scope, { callback: truth, source: 'correction', replaces: claim, requestId });
  return result === 'stored' || result === 'known';
}

async function claimOf({ redis, queue }: BrandScope, { gatewayReference, status }: Callback) {
  const kind = kindOf(status);
  return kind === undefined ? undefined : (await findClaims(redis, queue, [{ gatewayReference, kind }]))[0];
}

type Decision =
  /** The gateway agrees with the conflict. */
  | 'confirmed'
  /** The gateway agrees with what was delivered. */
  | 'refuted'
  /** The gateway agrees with neither. */
  | 'superseded'
  | 'unverifiable';

function decide({ body }: UnverifiedConflict, truth: Callback | undefined, claim: Claim | undefined): Decision {
  const parsed = parseCallbackText(body);
  if (truth === undefined || parsed.kind !== 'callback') return 'unverifiable';
  const kind = kindOf(truth.status);
  if (kind === undefined || kind !== kindOf(parsed.callback.status)) return 'unverifiable';
  if (claim === undefined) return 'unverifiable'; // expired: a correction would have nothing to correct
  if (isSameResult(parsed.callback, truth)) return 'confirmed';
  return agrees(claim, truth.status, truth.finalAmount) ? 'refuted' : 'superseded';
}

/** As `agrees`: an amount that only one of them names contradicts nothing. */
function isSameResult(a: Callback, b: Callback): boolean {
  const [amountA, amountB] = [claimAmount(a.finalAmount), claimAmount(b.finalAmount)];
  return a.status === b.status && (amountA === amountB || amountA === '' || amountB === '');
}
