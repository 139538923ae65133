// The merchant's breaker as one process sees it. See breaker.lua for the states and what they hold back.
//
// A success costs a round trip only while this process knows of a reason: failures that it would clear, or an open
// breaker that it would close. What other processes did is learnt by looking every half second, which also drives
// the ramp. Never throws: a breaker that cannot be asked lets the attempt count.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AttemptResult } from '../attempt.ts';
import { defineScript } from '../../redis/script.ts';

export interface BreakerSettings {
  /** So many different callbacks in a row must fail. One poison callback alone, however often, does not open it. */
  readonly failures: number;
  readonly firstWaitMs: number;
  readonly waitMaxMs: number;
}

/** A return is noticed within ten seconds; a probe every ten seconds burdens nobody. */
export const defaultBreakerSettings: BreakerSettings = { failures: 5, firstWaitMs: 1_000, waitMaxMs: 10_000 };

export interface BreakerDependencies {
  readonly queue: BrandQueue;
  readonly redis: RedisConnection;
  readonly log: Log;
  readonly onPhase: (phase: Phase) => void;
  readonly settings: BreakerSettings;
  readonly timeoutMs: number;
  readonly concurrency: number;
}

export type Phase = 'closed' | 'open' | 'ramp';

/**
 * What a failure means for the job: `counted` is an attempt spent; a `straggler` began before the breaker opened and a
 * `probe` found it still right to be open: neither is counted.
 */
export type FailureVerdict =
  | { readonly kind: 'counted' }
  /** Not counted: it rests for so long, out of the way of callbacks that have not been tried. */
  | { readonly kind: 'straggler' | 'probe'; readonly restMs: number };

export type Breaker = ReturnType<typeof createBreaker>;

const observeEveryMs = 500;
/** While it is not closed: this is what drives the ramp. */
const observeCloselyEveryMs = 100;
/** Failures that lie further apart than this are no outage. */
const failureMemoryMs = 600_000;
/** Beyond the attempt's own timeout: the way of the outcome to Redis. */
const probeMarginMs = 2_000;

const runBreaker = defineScript({
  lua: readFileSync(new URL('./breaker.lua', import.meta.url), 'utf8'),
  keyCount: 9,
  reply: z.tuple([z.enum(['closed', 'open', 'ramp']), z.number(), z.string(), z.number(), z.number()]),
});

export function createBreaker(dependencies: BreakerDependencies) {
  const { queue, redis, log, onPhase, settings, timeoutMs, concurrency } = dependencies;
  const keys = [
    keysOf.breaker(queue),
    keysOf.breakerFailures(queue),
    `${queue.base}:meta`,
    `${queue.base}:limiter`,
    keysOf.breakerResting(queue),
    keysOf.breakerOwn(queue),
    `${queue.base}:delayed`,
    `${queue.base}:marker`,
    `${queue.base}:wait`,
  ];
  const fixed = [
    concurrency,
    settings.failures,
    settings.firstWaitMs,
    settings.waitMaxMs,
    timeoutMs + probeMarginMs,
    failureMemoryMs,
  ];
  let phase: Phase | undefined;
  let failures = 0;
  let resting = 0;
  let isKnown = true;
  let timer: NodeJS.Timeout | undefined;

  async function run(
    operation: 'observe' | 'failure' | 'success',
    ...rest: (string | number)[]
  ): Promise<FailureVerdict> {
    try {
      const answer = await runBreaker(redis, keys, [operation, ...fixed, ...rest]);
      const [nextPhase, nextFailures, verdict, restMs, nextResting] = answer;
      failures = nextFailures;
      resting = nextResting;
      isKnown = true;
      enter(nextPhase);
      return verdict === 'straggler' || verdict === 'probe' ? { kind: verdict, restMs } : { kind: 'counted' };
    } catch (error) {
      // Asked several times a second: said once.
      if (isKnown) log.warn({ event: 'breaker.unknown', brand: queue.brand, err: error });
      isKnown = false;
      return { kind: 'counted' };
    }
  }

  function enter(next: Phase): void {
    const previous = phase;
    phase = next;
    onPhase(next);
    if (next === previous || (previous === undefined && next === 'closed')) return;
    const events = { open: 'breaker.opened', ramp: 'breaker.recovering', closed: 'breaker.closed' } as const;
    log[next === 'open' ? 'warn' : 'info']({ event: events[next], brand: queue.brand });
  }

  async function observe(): Promise<void> {
    await run('observe');
    if (timer !== undefined)
      timer = setTimeout(
        () => void observe(),
        phase === 'closed' && resting === 0 ? observeEveryMs : observeCloselyEveryMs,
      );
  }

  return {
    start(): void {
      timer = setTimeout(() => void observe(), 0);
    },
    stop(): void {
      clearTimeout(timer);
      timer = undefined;
    },
    /** `sinceMs`: for how long a worker has held the job. */
    async failure(jobId: string, sinceMs: number, result: AttemptResult): Promise<FailureVerdict> {
      return run('failure', jobId, Math.ceil(sinceMs), hasAnswered(result) ? 1 : 0);
    },
    async success(sinceMs: number): Promise<void> {
      if (phase === 'open' || phase === undefined || failures > 0) await run('success', '', Math.ceil(sinceMs));
    },
  };
}

/** Whether a result speaks against the destination rather than against one callback. */
export function isOutage(result: AttemptResult): boolean {
  if (result.kind === 'answered') return result.status >= 500 || result.status === 429;
  return result.kind === 'error';
}

/** Whether the destination is there, only not well, and does not ask to be spared. */
function hasAnswered(result: AttemptResult): boolean {
  return result.kind === 'answered' && result.status !== 429 && result.retryAfter === undefined;
}
