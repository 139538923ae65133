// Leader election: one reconciler per brand. Waits for the lock, renews it during the action, and releases it.
//
// Fails safe: if the lock cannot be renewed in time, the action is aborted before another process can get the lock; the next
// round competes for it again. Uses a monotonic clock.
import { randomUUID } from 'node:crypto';
import { keysOf } from '../redis/brand-queue.ts';
import { releaseLock, renewLock } from '../redis/lock.ts';
import { takeReconcilerLock } from '../store/reconciliation/reconciler-lock.ts';
import type { BrandScope } from './brand-scope.ts';

/** How long a dead process keeps others waiting. */
const ttlMs = 5_000;
const renewEveryMs = 1_500;
/** The action is aborted this long before the lock expires. */
const marginMs = 1_000;

/** Resolves to false if another process leads; otherwise runs the action until it ends or leadership is lost. */
export async function lead(
  { redis, queue, clock }: Pick<BrandScope, 'redis' | 'queue' | 'clock'>,
  action: (token: string, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const key = keysOf.reconciler(queue);
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
    await releaseLock(redis, key, token).catch(() => undefined); // it expires by itself
  }
  return true;

  async function renewUntil(firstExpiryMs: number): Promise<void> {
    let expiresAtMs = firstExpiryMs;
    while (!both.aborted && clock.elapsed() < expiresAtMs - marginMs) {
      await clock.sleep(Math.min(renewEveryMs, expiresAtMs - marginMs - clock.elapsed()), both).catch(() => undefined);
      if (both.aborted) return;
      const askedAtMs = clock.elapsed();
      const renewal = await Promise.race([
        renewLock(redis, key, token, ttlMs).catch(() => undefined),
        clock.sleep(expiresAtMs - marginMs - askedAtMs, both).catch(() => undefined),
      ]);
      if (renewal === false) break;
      if (renewal === true) expiresAtMs = askedAtMs + ttlMs;
    }
    ending.abort(new Error('another process may reconcile this brand now'));
  }
}
