// The merchant's breaker as one process sees it. See breaker.lua for the states and their effects.
//
// A success costs a round trip only if it matters: there are failures to clear, or an open breaker to close. Changes by other
// processes are noticed by polling every half second, which also drives the ramp. Never throws: if the breaker's state is
// unknown, attempts count.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AttemptResult } from '../attempt.ts';
import { defineScript } from '../../redis/script.ts';

export interface BreakerSettings {
  /** This many different callbacks in a row must fail. A single poison callback never opens it, however often it fails. */
  readonly failures: number;
  readonly firstWaitMs: number;
  readonly waitMaxMs: number;
}

/** A merchant's return is noticed within ten seconds; one probe every ten seconds burdens nobody. */
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
 * What a failure means for the job: `counted` spends an attempt; a `straggler` began before the breaker opened, and a `probe`
 * found the merchant still down: neither is counted.
 */
export type FailureVerdict =
  | { readonly kind: 'counted' }
  /** Not counted: the job rests this long, so that untried callbacks go first. */
  | { readonly kind: 'straggler' | 'probe'; readonly restMs: number };

export type Breaker = ReturnType<typeof createBreaker>;

const observeEveryMs = 500;
/** While it is not closed: this drives the ramp. */
const observeCloselyEveryMs = 100;
/** Failures further apart than this are not an outage. */
const failureMemoryMs = 600_000;
/** Time for the outcome to reach Redis, beyond the attempt's own timeout. */
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
      // Polled several times a second, so logged once.
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
    /** `sinceMs`: how long a worker has held the job. */
    async failure(jobId: string, sinceMs: number, result: AttemptResult): Promise<FailureVerdict> {
      return run('failure', jobId, Math.ceil(sinceMs), hasAnswered(result) ? 1 : 0);
    },
    async success(sinceMs: number): Promise<void> {
      if (phase === 'open' || phase === undefined || failures > 0) await run('success', '', Math.ceil(sinceMs));
    },
  };
}

/** Whether a result indicates a problem of the destination rather than of one callback. */
export function isOutage(result: AttemptResult): boolean {
  if (result.kind === 'answered') return result.status >= 500 || result.status === 429;
  return result.kind === 'error';
}

/** Whether the destination answers, although with errors, and does not ask to be spared. */
function hasAnswered(result: AttemptResult): boolean {
  return result.kind === 'answered' && result.status !== 429 && result.retryAfter === undefined;
}
