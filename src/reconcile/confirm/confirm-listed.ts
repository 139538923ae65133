// Confirms callbacks from the pages of records that sweeps read anyway: a page costs the gateway no call, and Redis one
// command if nothing waits for confirmation.
import { kindOf } from '../../callback/identity.ts';
import { readJobData } from '../../store/callbacks/read-job-data.ts';
import { askAgain } from '../../store/confirmation/unconfirmed.ts';
import { agrees } from '../../store/accept/claims.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import {
  awaitingConfirmation,
  isAnythingOpen,
  settleConfirmation,
} from '../../store/confirmation/settle-confirmation.ts';
import type { BrandScope } from '../brand-scope.ts';
import type { Transaction } from '../gateway/transaction.ts';
import { isAltered } from './judge-callback.ts';
import { reportConfirmation } from './report-confirmation.ts';

/** Confirms the callbacks that agree with their transaction. An altered one is left to the status call, and corrected. */
export async function confirmListed(scope: BrandScope, page: readonly Transaction[], requestId: string): Promise<void> {
  const { redis, queue, clock } = scope;
  if (!(await isAnythingOpen(redis, queue))) return;
  const sent = page.flatMap(({ callback }) => {
    const kind = kindOf(callback.status);
    return kind === undefined ? [] : [{ callback, kind, gatewayReference: callback.gatewayReference }];
  });
  const claims = await findClaims(redis, queue, sent);
  const agreeing = sent.flatMap(({ callback, kind, gatewayReference }, at) => {
    const claim = claims[at];
    if (claim === undefined || !agrees(claim, callback.status, callback.finalAmount)) return [];
    return [{ gatewayReference, kind, jobId: claim.jobId, claim, callback }];
  });
  const waiting = await awaitingConfirmation(redis, queue, agreeing);
  if (waiting.length === 0) return;
  const jobs = await readJobData(redis, queue, waiting);
  const altered = new Set(waiting.filter(({ claim, callback }, at) => isAltered({ claim, job: jobs[at] }, callback)));
  await askAgain(redis, queue, [...altered], clock.now());
  const confirmed = waiting.filter((one) => !altered.has(one));
  const outcomes = await settleConfirmation(redis, queue, confirmed, { answer: 'yes' });
  for (const [at, { gatewayReference, kind }] of confirmed.entries()) {
    const outcome = outcomes[at] ?? '';
    reportConfirmation(scope, { gatewayReference, kind, requestId }, outcome);
  }
}
