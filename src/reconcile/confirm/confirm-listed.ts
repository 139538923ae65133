// Confirms what the gateway's records list anyway: a page of them costs the gateway no call, and Redis one command where
// nothing waits to be confirmed.
import { kindOf } from '../../callback/identity.ts';
import { agrees } from '../../store/accept/claims.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import {
  awaitingConfirmation,
  isAnythingOpen,
  settleConfirmation,
} from '../../store/confirmation/settle-confirmation.ts';
import type { BrandScope } from '../brand-scope.ts';
import type { Transaction } from '../gateway/transaction.ts';
import { tellConfirmed } from './tell-confirmed.ts';

/** Of each transaction that has the status of its callback, and the same final amount. */
export async function confirmListed(scope: BrandScope, page: readonly Transaction[], requestId: string): Promise<void> {
  const { redis, queue } = scope;
  if (!(await isAnythingOpen(redis, queue))) return;
  const told = page.flatMap(({ callback }) => {
    const kind = kindOf(callback.status);
    return kind === undefined ? [] : [{ callback, kind, gatewayReference: callback.gatewayReference }];
  });
  const claims = await findClaims(redis, queue, told);
  const agreeing = told.flatMap(({ callback: { status, finalAmount }, kind, gatewayReference }, at) => {
    const claim = claims[at];
    if (claim === undefined || !agrees(claim, status, finalAmount)) return [];
    return [{ gatewayReference, kind, jobId: claim.jobId }];
  });
  const waiting = await awaitingConfirmation(redis, queue, agreeing);
  if (waiting.length === 0) return;
  const outcomes = await settleConfirmation(redis, queue, waiting, { answer: 'yes' });
  for (const [at, { gatewayReference, kind }] of waiting.entries()) {
    const outcome = outcomes[at] ?? '';
    tellConfirmed(scope, { gatewayReference, kind, requestId }, outcome);
  }
}
