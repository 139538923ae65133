// One reconciler of a brand at a time: waits for the lock, keeps it alive while it acts, gives it back.
//
// Fails safe: where the lock cannot be renewed in time the action is aborted before another process can have the lock;
// the next round competes for it anew. Counted on a clock that nobody sets.
import { randomUUID } from 'node:crypto';
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import {
  releaseReconcilerLock,
  renewReconcilerLock,
  takeReconcilerLock,
} from '../store/reconciliation/reconciler-lock.ts';
import type { Clock } from './clock.ts';

export interface LeadershipOptions {
  readonly redis: RedisConnection;
  readonly queue: BrandQueue;
  readonly clock: Clock;
}

/** How long a dead process keeps others waiting. */
const ttlMs = 5_000;
const renewEveryMs = 1_500;
/** The action ends this long before the lock does. */
const marginMs = 1_000;

/** Resolves with false where another process leads; else runs the action until it ends or leadership is lost. */
export async function lead(
  { redis, queue, clock }: LeadershipOptions,
  action: (token: string, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const token = randomUUID();
  const takenAtMs = clock.elapsed();
  if (!(await takeReconcilerLock(redis, queue, token, ttlMs))) return false;
  const ending = new AbortController();
  const both = AbortSignal.any([signal, ending.signal]);
  const renewal = renewUntil(takenAtMs + ttlMs);
  try {
    await action(token, both);
  } finally {
    ending.abort();
    await renewal;
    await releaseReconcilerLock(redis, queue, token).catch(() => undefined); // it expires by itself
  }
  return true;

  async function renewUntil(firstExpiryMs: number): Promise<void> {
    let expiresAtMs = firstExpiryMs;
    while (!both.aborted && clock.elapsed() < expiresAtMs - marginMs) {
      await clock.sleep(Math.min(renewEveryMs, expiresAtMs - marginMs - clock.elapsed()), both).catch(() => undefined);
      if (both.aborted) return;
      const askedAtMs = clock.elapsed();
      const renewal = await Promise.race([
        renewReconcilerLock(redis, queue, token, ttlMs).catch(() => undefined),
        clock.sleep(expiresAtMs - marginMs - askedAtMs, both).catch(() => undefined),
      ]);
      if (renewal === false) break;
      if (renewal === true) expiresAtMs = askedAtMs + ttlMs;
    }
    ending.abort(new Error('another process may reconcile this brand now'));
  }
}
