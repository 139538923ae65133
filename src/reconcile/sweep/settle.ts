// Settles one transaction that a list calls missing or different: the status call decides, and its reply is delivered.
//
// The list alone counts only if the status call had no answer, and not before an hour after the completion: until then the
// status call is retried, since a wrong success sends goods that nobody paid for. A correction or reversal never relies on
// the list alone.
import { isTerminal } from '../../callback/identity.ts';
import { agrees, claimStatus } from '../../store/accept/claims.ts';
import { createSemaphore } from '../../async/semaphore.ts';
import type { BrandScope } from '../brand-scope.ts';
import { describeFailure, type StatusAnswer } from '../gateway/gateway-client.ts';
import type { Classified } from './classify-page.ts';
import { isReversed } from './reversals.ts';
import { inject, type Injection } from '../inject.ts';
import type { Transaction } from '../gateway/transaction.ts';

export type Settled =
  | 'injected'
  | 'corrected'
  /** Received and in agreement; or it arrived meanwhile. */
  | 'known'
  /** It has not ended, whatever the list says. */
  | 'unfinished'
  /** The status call knows no such transaction, whatever the list says. */
  | 'denied'
  /** The status call had no answer. */
  | 'unanswered'
  /** A correction of a state that has changed since: classify it again. */
  | 'overtaken'
  /** Nothing could be stored now. */
  | 'unstored';

export type AskStatus = (gatewayReference: string) => Promise<StatusAnswer>;

export interface SettleOptions {
  readonly ask: AskStatus;
  readonly requestId: string;
}

/** After this time as missing, the list's result is delivered even if the status call had no answer. */
const listedWillDoAfterMs = 3_600_000;

export async function settle(
  scope: BrandScope,
  classified: Classified,
  { ask, requestId }: SettleOptions,
): Promise<Settled> {
  const { transaction: listed, classification, terminalSinceMs } = classified;
  const { log, brand, clock } = scope;
  const { gatewayReference, status } = listed.callback;
  const answer = await ask(gatewayReference);
  const context = { brand, gatewayReference, requestId, listed: status };
  switch (answer.kind) {
    case 'found': {
      const settled = await injectTruth(scope, answer.transaction, classified, { source: 'records', requestId });
      const asked = answer.transaction.callback.status;
      if (settled === 'unfinished') log.warn({ event: 'reconcile.list_contradicted', ...context, asked });
      return settled;
    }
    case 'not-found':
      log.warn({ event: 'reconcile.list_contradicted', ...context, asked: null });
      return 'denied';
    default: {
      const willDo = classification === 'missing' && terminalSinceMs < clock.now() - listedWillDoAfterMs;
      const reason = describeFailure(answer);
      log.warn({ event: 'reconcile.status_unanswered', ...context, reason, listBelieved: willDo });
      return willDo ? injectTruth(scope, listed, classified, { source: 'records', requestId }) : 'unanswered';
    }
  }
}

/** Injects the gateway's result, as a correction if another result is stored here. */
export async function injectTruth(
  scope: BrandScope,
  { callback }: Transaction,
  { claim, isRemoved, classification, reversal }: Classified,
  { source, requestId }: { source: 'records' | 'status'; requestId: string },
): Promise<Settled> {
  if (!isTerminal(callback.status)) {
    if (classification !== 'reversed' || !isReversed(callback.status, claim)) return 'unfinished';
    // The removed job is known only for the status that was classified.
    const removed = reversal?.claim?.status === claimStatus(callback.status) ? reversal.claim : undefined;
    return settledBy(await inject(scope, { callback, requestId, source, removed }), 'injected');
  }
  const agreesWithClaim = claim !== undefined && agrees(claim, callback.status, callback.finalAmount);
  if (agreesWithClaim && !isRemoved) return 'known';
  const isCorrection = claim !== undefined && !agreesWithClaim;
  const found = isCorrection ? ({ source: 'correction', replaces: claim } as const) : { source, removed: claim };
  return settledBy(await inject(scope, { callback, requestId, ...found }), isCorrection ? 'corrected' : 'injected');
}

function settledBy(result: Injection, stored: Settled): Settled {
  switch (result) {
    case 'stored':
      return stored;
    case 'unavailable':
      return 'unstored';
    case 'known':
    case 'overtaken':
      return result;
  }
}

/** After this many unanswered calls in a row each further call is short, until one is answered. */
const silentMax = 8;
const atOnceMax = 16;

/**
 * Creates the status calls for the sweep of one window. Every transaction is asked about, even during an outage: that others
 * had no answer says nothing about this one, and the list counts only if its own call had none.
 */
export function createSweepAsk({ gateway }: BrandScope, signal: AbortSignal): AskStatus {
  const semaphore = createSemaphore(atOnceMax);
  let silent = 0;
  return (gatewayReference) =>
    semaphore(async () => {
      const lane = silent < silentMax ? 'sweeps' : 'sweeps-in-outage';
      const answer = await gateway.status(gatewayReference, lane, signal);
      silent = answer.kind === 'unavailable' ? silent + 1 : 0;
      return answer;
    });
}
