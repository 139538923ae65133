// Looks up the watch list: transactions that were unfinished, until each ends or is too old. One that ended is delivered, and
// corrected if it differs from what was delivered before.
import { dueWatched, unwatch, watch, type Watched } from '../../store/reconciliation/watched.ts';
import type { BrandScope } from '../brand-scope.ts';
import { agreedNowMs } from '../../redis/agreed-time.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import { postpone } from '../../redis/due.ts';
import { describeFailure } from '../gateway/gateway-client.ts';
import { isTooOld } from '../sweep/classify.ts';
import { classifyTwice } from '../sweep/classify-page.ts';
import type { LookedUp, LookUps } from './look-up-lane.ts';
import { injectTruth } from '../sweep/settle.ts';
import type { Transaction } from '../gateway/transaction.ts';
import { askAgainMs, watchIntervalMaxMs, watchIntervalMs } from '../sweep/watch-unfinished.ts';

export function watchLookUps(scope: BrandScope): LookUps<Watched> {
  const { redis, queue, clock, limits } = scope;
  const aheadMaxMs = Math.max(limits.graceMs, watchIntervalMaxMs);
  return {
    name: 'watch',
    due: (limit) => dueWatched(redis, queue, { nowMs: clock.now(), aheadMaxMs, limit }),
    keyOf: ({ gatewayReference }) => gatewayReference,
    lookUp: (watched, requestId, signal) => lookUp(scope, watched, requestId, signal),
    defer: ({ gatewayReference }, waitMs) => defer(scope, gatewayReference, waitMs),
  };
}

async function lookUp(scope: BrandScope, watched: Watched, requestId: string, signal: AbortSignal): Promise<LookedUp> {
  const { redis, queue, gateway, clock, log, brand, limits } = scope;
  const { gatewayReference, createdAtMs } = watched;
  if (await isGivenUp(scope, createdAtMs)) {
    log.warn({ event: 'reconcile.pending_given_up', brand, gatewayReference, requestId });
    await unwatch(redis, queue, [gatewayReference]);
    return 'done';
  }
  const rarelyMs = watchIntervalMs(clock.now() - createdAtMs, askAgainMs(limits));
  const answer = await gateway.status(gatewayReference, 'watch', signal);
  switch (answer.kind) {
    case 'found':
      await takeFound(scope, watched, answer.transaction, { rarelyMs, requestId, signal });
      return 'done';
    case 'unavailable':
    case 'unauthorized':
    case 'not-found':
    case 'refused': {
      log.warn({
        event: 'reconcile.look_up_failed',
        brand,
        gatewayReference,
        requestId,
        reason: describeFailure(answer),
      });
      if (answer.kind === 'unavailable' || answer.kind === 'unauthorized') return 'unanswered';
      await defer(scope, gatewayReference, rarelyMs);
      return 'done';
    }
  }
}

async function takeFound(
  scope: BrandScope,
  { gatewayReference, createdAtMs }: Watched,
  transaction: Transaction,
  { rarelyMs, requestId, signal }: { rarelyMs: number; requestId: string; signal: AbortSignal },
): Promise<void> {
  const { redis, queue, clock, limits } = scope;
  const [classified] = await classifyTwice(scope, [transaction], signal);
  if (classified === undefined) throw new TypeError('One transaction must have one classification.');
  switch (classified.classification) {
    case 'pending':
    case 'other': {
      const dueMs = clock.now() + rarelyMs;
      const isPending = classified.classification === 'pending';
      await watch(redis, queue, [{ gatewayReference, createdAtMs, dueMs, over: 'keep', isPending }]);
      return defer(scope, gatewayReference, rarelyMs);
    }
    case 'early':
      return defer(scope, gatewayReference, classified.terminalSinceMs + limits.graceMs - clock.now());
    case 'reversed': {
      const settled = await injectTruth(scope, transaction, classified, { source: 'status', requestId });
      const isStored = settled !== 'unstored' && settled !== 'overtaken';
      return defer(scope, gatewayReference, isStored ? rarelyMs : askAgainMs(limits)); // it may still end
    }
    case 'missing':
    case 'differs': {
      const settled = await injectTruth(scope, transaction, classified, { source: 'status', requestId });
      if (settled === 'unstored' || settled === 'overtaken') return defer(scope, gatewayReference, askAgainMs(limits));
      return unwatch(redis, queue, [gatewayReference]);
    }
    case 'known':
      return unwatch(redis, queue, [gatewayReference]);
    case 'tooOld':
      if (await isGivenUp(scope, transaction.createdAtMs ?? createdAtMs))
        return unwatch(redis, queue, [gatewayReference]);
      return defer(scope, gatewayReference, rarelyMs);
  }
}

/** Giving up cannot be undone, so Redis's clock must agree that it is too old. */
async function isGivenUp({ redis, clock, limits }: BrandScope, createdAtMs: number): Promise<boolean> {
  if (!isTooOld(createdAtMs, clock.now(), limits)) return false;
  return isTooOld(createdAtMs, await agreedNowMs(redis, clock.now()), limits);
}

function defer({ redis, queue, clock }: BrandScope, reference: string, waitMs: number): Promise<void> {
  return postpone(redis, keysOf.watchedDue(queue), reference, clock.now() + waitMs);
}
