// Asks the gateway about each callback that no list of records confirmed in time.
//
// The gateway wants few calls: if many callbacks are due, or one was asked about a moment ago, the records of the last
// minutes are read first, one page of which can confirm thousands.
import type { Claim } from '../../store/accept/claims.ts';
import { readJobData } from '../../store/callbacks/read-job-data.ts';
import type { JobData } from '../../callback/job.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import { settleConfirmation, type GatewayWord } from '../../store/confirmation/settle-confirmation.ts';
import {
  dueUnconfirmed,
  forgetUnconfirmed,
  unconfirmedMember,
  type Unconfirmed,
} from '../../store/confirmation/unconfirmed.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import { postpone } from '../../redis/due.ts';
import type { BrandScope } from '../brand-scope.ts';
import { confirmListed } from '../confirm/confirm-listed.ts';
import { judgeCallback } from '../confirm/judge-callback.ts';
import { reportConfirmation, type ReportedCallback } from '../confirm/report-confirmation.ts';
import { checkGateway } from '../gateway/check-gateway.ts';
import { describeFailure } from '../gateway/gateway-client.ts';
import type { Transaction } from '../gateway/transaction.ts';
import { classifyTwice } from '../sweep/classify-page.ts';
import { inject } from '../inject.ts';
import { injectTruth } from '../sweep/settle.ts';
import { askAgainMs } from '../sweep/watch-unfinished.ts';
import { windowPages } from '../sweep/window-pages.ts';
import type { LookedUp, LookUps } from './look-up-lane.ts';

/** The callbacks under one reference, of all kinds: one call decides them all. */
interface Due {
  readonly gatewayReference: string;
  readonly callbacks: readonly CalledBack[];
}

interface CalledBack extends Unconfirmed {
  readonly claim: Claim;
}

const lane = 'confirmations';
/** From this many on, the records are read first: a second's worth of status calls. */
const listedFromCount = 40;
/** A transaction usually ends within minutes of its creation. */
const listedMs = 900_000;
const listedEveryMs = 1_000;
const listedPageSize = 5_000;
/** Refusals of the reference itself. Any other (403: not from this address, say) says nothing about the callback. */
const aboutReference: ReadonlySet<number> = new Set([400, 410, 422]);
const firstWaitMs = 2_000;
/** With CONFIRM=before a callback waits for this look as well. */
const promptMs = 100;
const waitMaxMs = 3_600_000;
/** If the gateway has reported nothing for this long, it is checked before its "unknown" counts: the base URL may be wrong. */
const provenMs = 600_000;

export function confirmationLookUps(scope: BrandScope): LookUps<Due> {
  const { redis, queue, clock, confirmAfterMs } = scope;
  const aheadMaxMs = Math.max(confirmAfterMs, waitMaxMs);
  const readDue = async (limit: number) =>
    byReference(scope, await dueUnconfirmed(redis, queue, { nowMs: clock.now(), aheadMaxMs, limit }));
  const listRecent = createRecentListing(scope);

  return {
    name: lane,
    ...(scope.confirm === 'before' && { everyMaxMs: promptMs }),
    async due(limit) {
      const due = await readDue(limit);
      if (due.length < listedFromCount && !due.some((one) => isAskedLately(scope, one))) return due;
      await listRecent();
      const left = await readDue(limit);
      const again = left.filter((one) => isAskedLately(scope, one));
      for (const { callbacks } of again) for (const one of callbacks) await defer(scope, one, waitFor(scope, one));
      return left.filter((one) => !again.includes(one));
    },
    keyOf: ({ gatewayReference }) => gatewayReference,
    lookUp: (due, requestId, signal) => lookUp(scope, due, requestId, signal),
    async defer({ callbacks }, waitMs) {
      for (const one of callbacks) await defer(scope, one, waitMs);
    },
  };
}

async function byReference(scope: BrandScope, due: readonly Unconfirmed[]): Promise<Due[]> {
  const { redis, queue } = scope;
  const claims = await findClaims(redis, queue, due);
  await forgetUnconfirmed(
    redis,
    queue,
    due.filter((_, at) => claims[at] === undefined),
  );
  const callbacks = due.flatMap((one, at) => {
    const claim = claims[at];
    return claim === undefined ? [] : [{ ...one, claim }];
  });
  return [...Map.groupBy(callbacks, ({ gatewayReference }) => gatewayReference)].map(([gatewayReference, its]) => ({
    gatewayReference,
    callbacks: its,
  }));
}

/** Confirms what the gateway lists for the last minutes; the rest is asked about one by one. */
function createRecentListing(scope: BrandScope) {
  const { gateway, clock } = scope;
  let nextAtMs = -Infinity;
  return async function listRecent(): Promise<void> {
    const startedMs = clock.elapsed();
    if (startedMs < nextAtMs) return;
    const nowMs = clock.now();
    const window = { fromMs: nowMs - listedMs, toMs: nowMs };
    const { signal } = new AbortController();
    try {
      for await (const step of windowPages(gateway, window, listedPageSize, signal))
        if (step.kind === 'page') await confirmListed(scope, step.page.transactions, lane);
    } finally {
      // Half of the time at least is left to the single calls: else a flood of forged callbacks, which no list names,
      // would be denied a handful per listing.
      const endedMs = clock.elapsed();
      nextAtMs = endedMs + Math.max(listedEveryMs, endedMs - startedMs);
    }
  };
}

function isAskedLately({ gateway, limits }: BrandScope, { gatewayReference }: Due): boolean {
  return gateway.answeredWithin(gatewayReference, askAgainMs(limits));
}

async function lookUp(
  scope: BrandScope,
  { gatewayReference, callbacks }: Due,
  requestId: string,
  signal: AbortSignal,
): Promise<LookedUp> {
  // A correction comes from the gateway itself.
  const { true: corrections = [], false: asked = [] } = Object.groupBy(callbacks, ({ claim }) =>
    claim.sequence > 0 ? 'true' : 'false',
  );
  for (const one of corrections) await settle(scope, one, { answer: 'yes' }, { requestId });
  if (asked.length === 0) return 'done';
  const answer = await scope.gateway.status(gatewayReference, lane, signal);
  switch (answer.kind) {
    case 'found': {
      const jobIds = asked.map(({ claim: { jobId } }) => ({ jobId }));
      const jobs = await readJobData(scope.redis, scope.queue, jobIds);
      for (const [at, one] of asked.entries())
        await takeFound(scope, { ...one, job: jobs[at] }, answer.transaction, { requestId, signal });
      return 'done';
    }
    case 'not-found':
    case 'refused': {
      if (answer.kind === 'refused' && !aboutReference.has(answer.status))
        return unanswered(scope, gatewayReference, describeFailure(answer), requestId);
      if (!(await isGateway(scope, signal))) return unanswered(scope, gatewayReference, 'not-the-gateway', requestId);
      const context = { requestId, atGateway: null };
      for (const one of asked) await settle(scope, one, { answer: 'no', reason: 'denied' }, context);
      return 'done';
    }
    case 'unauthorized':
    case 'unavailable':
      return unanswered(scope, gatewayReference, describeFailure(answer), requestId);
  }
}

/** A server at a wrong base URL answers "unknown" to everything. */
async function isGateway({ gateway, clock }: BrandScope, signal: AbortSignal): Promise<boolean> {
  return gateway.isProvenWithin(provenMs) || (await checkGateway(gateway, clock.now(), signal)).kind === 'ok';
}

function unanswered(scope: BrandScope, gatewayReference: string, reason: string, requestId: string): LookedUp {
  const { log, brand, metrics } = scope;
  metrics?.confirmations.inc({ outcome: 'unavailable' });
  log.warn({ event: 'reconcile.look_up_failed', brand, gatewayReference, requestId, reason });
  return 'unanswered';
}

type Context = Pick<ReportedCallback, 'requestId' | 'atGateway'>;

async function settle(scope: BrandScope, one: CalledBack, word: GatewayWord, context: Context): Promise<void> {
  const { redis, queue } = scope;
  const { gatewayReference, kind, claim } = one;
  const [outcome = ''] = await settleConfirmation(redis, queue, [{ gatewayReference, kind, jobId: claim.jobId }], word);
  reportConfirmation(scope, { gatewayReference, kind, ...context }, outcome);
}

async function takeFound(
  scope: BrandScope,
  one: CalledBack & { readonly job: JobData | undefined },
  transaction: Transaction,
  { requestId, signal }: { requestId: string; signal: AbortSignal },
): Promise<void> {
  const context = { requestId, atGateway: transaction.callback.status };
  switch (judgeCallback(one, transaction)) {
    case 'confirmed':
      return settle(scope, one, { answer: 'yes' }, context);
    case 'corrected':
      return correct(scope, one, transaction, { ...context, signal });
    case 'altered':
      return replaceAltered(scope, one, transaction, context);
    case 'otherwise':
    case 'overtaken':
      return settle(scope, one, { answer: 'otherwise', reason: 'differs' }, context);
    case 'contradicted':
      return settle(scope, one, { answer: 'no', reason: 'differs' }, context);
    case 'pending':
      return defer(scope, one, waitFor(scope, one));
  }
}

/** Delivers the gateway's result, instead of the callback or after it. */
async function correct(
  scope: BrandScope,
  one: CalledBack,
  transaction: Transaction,
  { signal, ...context }: Context & { signal: AbortSignal },
): Promise<void> {
  const [classified] = await classifyTwice(scope, [transaction], signal);
  if (classified?.classification === 'differs') {
    const settled = await injectTruth(scope, transaction, classified, {
      source: 'status',
      requestId: context.requestId,
    });
    if (settled === 'corrected') return settle(scope, one, { answer: 'open' }, context);
  }
  await defer(scope, one, waitFor(scope, one)); // the claim has changed meanwhile, or nothing could be stored
}

/** Like `correct`, for a body that agrees with the gateway only in status and amount. */
async function replaceAltered(
  scope: BrandScope,
  one: CalledBack,
  { callback }: Transaction,
  context: Context,
): Promise<void> {
  const found = { callback, source: 'correction', replaces: one.claim, isOfAltered: true } as const;
  const injected = await inject(scope, { ...found, requestId: context.requestId });
  if (injected === 'stored') return settle(scope, one, { answer: 'open' }, context);
  await defer(scope, one, waitFor(scope, one));
}

/** Waits again for as long as the callback has been here. */
function waitFor({ clock }: BrandScope, { claim }: CalledBack): number {
  return Math.min(Math.max(clock.now() - claim.receivedAtMs, firstWaitMs), waitMaxMs);
}

function defer({ redis, queue, clock }: BrandScope, one: CalledBack, waitMs: number): Promise<void> {
  return postpone(redis, keysOf.unconfirmed(queue), unconfirmedMember(one), clock.now() + waitMs);
}
