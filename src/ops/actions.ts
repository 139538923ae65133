// The operator's actions, each written once: the API, the console and the command line call these.
//
// Outcomes are tagged values; every change is audited with its outcome. Throws only if Redis fails.
import { setTimeout as delay } from 'node:timers/promises';
import type { Quarantine, ReleaseOutcome } from '../intake/quarantine/quarantine.ts';
import { amountCheckOf, isMismatch } from '../callback/amount-check.ts';
import type { Amount } from '../callback/decimal.ts';
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { erase, type EraseOutcome } from '../store/lifecycle/erase.ts';
import { registerExpectedAmount } from '../store/reconciliation/expected-amounts.ts';
import { registerExpectation } from '../store/reconciliation/expectations.ts';
import { pauseForwarding, resumeForwarding } from '../store/lifecycle/forwarding.ts';
import type { CallbackState } from '../store/callbacks/callback-view.ts';
import { callbackPageMax } from '../store/callbacks/callback-pages.ts';
import type { CallbackIndex } from '../store/callbacks/callback-index.ts';
import { replay, type ReplayOutcome } from '../store/lifecycle/replay.ts';
import { defaultBrand } from '../config/brand-values.ts';
import type { Config } from '../config/config.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Log } from '../telemetry/log.ts';
import type { Actor, Audit } from './audit.ts';

export interface ActionsDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly callbackIndex: CallbackIndex;
  readonly quarantine: Pick<Quarantine, 'get' | 'remove' | 'release'>;
  readonly audit: Audit;
  readonly config: Pick<Config, 'RECONCILE_GRACE' | 'DEDUP_TTL' | 'HOLD_MISMATCHED'>;
  readonly metrics?: Pick<Metrics, 'amountMismatches'> | undefined;
  readonly log: Log;
  readonly now?: () => number;
}

/** One callback of one brand, as an operator names it. */
export interface Target {
  readonly gatewayReference: string;
  readonly brand?: string | undefined;
}

/** A transaction that was started. */
export interface Expected extends Target {
  readonly merchantReference?: string | undefined;
  /** The ordered amount. */
  readonly amount?: Amount | undefined;
}

export interface ManyTargets {
  readonly state: ReplayableState;
  readonly brand?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

export const replayableStates = ['failed', 'retrying', 'delivered'] as const satisfies readonly CallbackState[];
export type ReplayableState = (typeof replayableStates)[number];

/** Limit of one bulk replay; more needs a shorter period. */
const replaysMax = 100_000;
/** In small steps, so that a bulk replay neither floods the merchant's queue nor blocks Redis. */
const replaysAtOnce = 20;
const replaysRestMs = 50;

export interface Replaying {
  readonly count: number;
  /** Resolves when all are back in the queue, or when it stopped early: at the end of the process, or if Redis was lost. */
  readonly done: Promise<{ readonly replayed: number; readonly remaining: number }>;
}

export function createActions(deps: ActionsDeps) {
  const { redis, queues, callbackIndex, quarantine, audit, config, metrics, log, now = Date.now } = deps;
  const stopping = new AbortController();
  const underWay = new Set<Promise<unknown>>();

  function queueOf(brand: string | undefined): BrandQueue | undefined {
    if (brand !== undefined) return queues.get(brand);
    const [first] = queues.values();
    return queues.get(defaultBrand) ?? (queues.size === 1 ? first : undefined);
  }

  async function expectOne(queue: BrandQueue, expected: Omit<Expected, 'brand'>): Promise<void> {
    const { gatewayReference, merchantReference, amount } = expected;
    if (amount !== undefined) {
      // If no worker counts the mismatch, it is counted here.
      const begun = await registerExpectedAmount(
        redis,
        queue,
        { gatewayReference, amount },
        {
          keptMs: config.DEDUP_TTL,
          holdMismatched: config.HOLD_MISMATCHED,
        },
      );
      const check = begun && amountCheckOf(begun);
      if (isMismatch(check)) metrics?.amountMismatches.inc({ kind: check });
    }
    await registerExpectation(redis, queue, { gatewayReference, merchantReference }, now() + config.RECONCILE_GRACE);
  }

  async function replayOne({ gatewayReference, brand }: Target): Promise<ReplayOutcome> {
    const callback = (await callbackIndex.find(gatewayReference, brand))?.callback;
    if (callback === undefined) return { kind: 'not-found' };
    const queue = queues.get(callback.brand);
    if (queue === undefined || callback.jobId === null) return { kind: 'in-progress' }; // in the spool, on its way to Redis
    return replay(redis, queue, callback.jobId);
  }

  /** Selects the matching callbacks at this moment. */
  async function collect({ state, brand, fromMs, toMs }: ManyTargets) {
    const jobs: { queue: BrandQueue; jobId: string }[] = [];
    let cursor: string | undefined;
    do {
      const page = await callbackIndex.list({ state, brand, fromMs, toMs, limit: callbackPageMax, cursor });
      for (const { brand: ofBrand, jobId, gatewayReference } of page.data) {
        const queue = queues.get(ofBrand);
        // A job without a reference is not a callback, and would only fail again.
        if (queue !== undefined && jobId !== null && gatewayReference !== null) jobs.push({ queue, jobId });
      }
      cursor = page.next ?? undefined;
    } while (cursor !== undefined && jobs.length < replaysMax);
    return jobs.slice(0, replaysMax);
  }

  /**
   * Starts to replay them all, oldest first, throttled; stops with the process. Callbacks that it did not reach keep their
   * state, so the same call continues; only with state `delivered` would it replay some of them again.
   */
  async function replayMany(
    actor: Actor,
    targets: ManyTargets,
    onProgress?: (done: number) => void,
  ): Promise<Replaying> {
    const jobs = (await collect(targets)).toReversed();
    await audit.record(actor, 'callbacks.replay', describe(targets), `accepted ${jobs.length}`);
    const done = replayAll(jobs, onProgress).then(async ({ replayed, reached, error }) => {
      const remaining = jobs.length - reached;
      const fields = { ...targets, count: jobs.length, replayed, remaining };
      if (remaining === 0) log.info({ event: 'operator.replayed', ...fields });
      else {
        log.warn({ event: 'operator.replay_cut_short', ...fields, ...(error !== undefined && { err: error }) });
        await audit.record(actor, 'callbacks.replay', describe(targets), `cut short, ${remaining} remain`);
      }
      return { replayed, remaining };
    });
    underWay.add(done);
    void done.finally(() => underWay.delete(done));
    return { count: jobs.length, done };
  }

  /** Never throws: nobody may be waiting for it, and an error would end the process. */
  async function replayAll(jobs: readonly { queue: BrandQueue; jobId: string }[], onProgress?: (done: number) => void) {
    let replayed = 0;
    let reached = 0;
    try {
      while (reached < jobs.length && !stopping.signal.aborted) {
        const batch = jobs.slice(reached, reached + replaysAtOnce);
        const outcomes = await Promise.all(batch.map(({ queue, jobId }) => replay(redis, queue, jobId)));
        replayed += outcomes.filter(({ kind }) => kind === 'replayed').length;
        reached += batch.length;
        onProgress?.(reached);
        await delay(replaysRestMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
      return { replayed, reached };
    } catch (error) {
      return { replayed, reached, error };
    }
  }

  async function eraseOne({ gatewayReference, brand }: Target): Promise<EraseOutcome> {
    const findings = await callbackIndex.findAll(gatewayReference, brand);
    if (findings.some(({ callback }) => callback.state === 'spooled')) return { kind: 'in-progress' };
    let kind: EraseOutcome['kind'] = 'not-found';
    // Every selected brand, not only those that know the callback: the quarantine may hold bodies that never became one.
    for (const queue of queues.values()) {
      if (brand !== undefined && queue.brand !== brand) continue;
      const outcome = await erase(redis, queue, gatewayReference);
      if (outcome.kind === 'in-progress') return outcome;
      if (outcome.kind === 'erased') kind = 'erased';
    }
    return { kind };
  }

  type Switched = { readonly kind: 'paused' | 'resumed' | 'unknown-brand' };

  async function switchForwarding(brand: string | undefined, to: 'paused' | 'resumed'): Promise<Switched> {
    const chosen = [...queues.values()].filter((queue) => queue.brand === (brand ?? queue.brand));
    if (chosen.length === 0) return { kind: 'unknown-brand' };
    for (const queue of chosen) await (to === 'paused' ? pauseForwarding : resumeForwarding)(redis, queue);
    return { kind: to };
  }

  return {
    replay: (actor: Actor, target: Target): Promise<ReplayOutcome> =>
      audit.audited(actor, 'callback.replay', target.gatewayReference, () => replayOne(target)),

    replayMany,

    erase: (actor: Actor, target: Target): Promise<EraseOutcome> =>
      audit.audited(actor, 'callback.erase', target.gatewayReference, () => eraseOne(target)),

    pause: (actor: Actor, brand: string | undefined): Promise<Switched> =>
      audit.audited(actor, 'forwarding.pause', brand ?? 'all brands', () => switchForwarding(brand, 'paused')),

    resume: (actor: Actor, brand: string | undefined): Promise<Switched> =>
      audit.audited(actor, 'forwarding.resume', brand ?? 'all brands', () => switchForwarding(brand, 'resumed')),

    release: (actor: Actor, id: string, gatewayReference: string | undefined): Promise<ReleaseOutcome> =>
      audit.audited(actor, 'quarantine.release', id, () => quarantine.release(id, { gatewayReference })),

    discard: (actor: Actor, id: string): Promise<{ readonly kind: 'discarded' | 'unknown' }> =>
      audit.audited(actor, 'quarantine.delete', id, async () => ({
        kind: (await quarantine.remove(id)) ? 'discarded' : 'unknown',
      })),

    /** Not audited: the merchant's system registers one per transaction, which would bury what people did. */
    async expect({ brand, ...expected }: Expected): Promise<{ readonly kind: 'registered' | 'unknown-brand' }> {
      const queue = queueOf(brand);
      if (queue === undefined) return { kind: 'unknown-brand' };
      await expectOne(queue, expected);
      return { kind: 'registered' };
    },

    isBrand: (brand: string | undefined): boolean => queueOf(brand) !== undefined,

    /** Stops bulk replays after the current batch; callbacks that they did not reach stay as they are. */
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}

export type Actions = ReturnType<typeof createActions>;

function describe({ state, brand, fromMs, toMs }: ManyTargets): string {
  const period = fromMs === undefined && toMs === undefined ? '' : ` ${isoTime(fromMs)}..${isoTime(toMs)}`;
  return `${state}${brand === undefined ? '' : ` of ${brand}`}${period}`;
}

function isoTime(ms: number | undefined): string {
  return ms === undefined ? '' : new Date(ms).toISOString();
}
