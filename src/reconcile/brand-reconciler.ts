// Reconciles one brand while this process is its reconciler: sweeps and look-ups run side by side, and none waits for another
// or ends with it.
//
// Survives an outage of the gateway or of Redis: whatever failed is logged and tried again from where it stopped.
import type { BrandScope } from './brand-scope.ts';
import { confirmationLookUps } from './lookup/confirmation-look-ups.ts';
import { conflictLookUps } from './lookup/conflict-look-ups.ts';
import { expectationLookUps } from './lookup/expectation-look-ups.ts';
import { lead } from './leadership.ts';
import { createLookUpLane, type LookUpLane } from './lookup/look-up-lane.ts';
import { LockLostError, runSweepLoop, type ReconcilerSettings } from './sweep/sweep-loop.ts';
import { watchLookUps } from './lookup/watch-look-ups.ts';

/** How often to try for the lock, and to retry after a failure. */
const standbyMs = 1_000;
/** How often to check a connection that is down. */
const connectionMs = 100;
const lookUpEveryMaxMs = 5_000;
const lookUpEveryMinMs = 50;

/** Runs until the signal aborts; never rejects. */
export async function reconcileBrand(
  scope: BrandScope,
  settings: ReconcilerSettings,
  signal: AbortSignal,
): Promise<void> {
  const { redis, clock, log, brand } = scope;
  while (!signal.aborted) {
    if (redis.status !== 'ready') {
      await clock.sleep(connectionMs, signal).catch(() => undefined);
      continue; // the connection itself reports that it is down
    }
    try {
      await lead(scope, (token, leading) => act(scope, settings, token, leading), signal);
    } catch (error) {
      if (!signal.aborted && !isAbort(error)) log.warn({ event: 'reconcile.interrupted', brand, ...reasonOf(error) });
    }
    await clock.sleep(standbyMs, signal).catch(() => undefined);
  }
}

/** The kinds of look-ups, each in a lane of its own. */
export function createLookUps(scope: BrandScope): readonly LookUpLane[] {
  return [
    createLookUpLane(scope, expectationLookUps(scope)),
    createLookUpLane(scope, watchLookUps(scope)),
    createLookUpLane(scope, conflictLookUps(scope)),
    createLookUpLane(scope, confirmationLookUps(scope)),
  ];
}

/** Runs until leadership is lost. */
async function act(
  scope: BrandScope,
  settings: ReconcilerSettings,
  token: string,
  leading: AbortSignal,
): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([leading, ending.signal]);
  const lookUpEveryMs = Math.min(
    Math.max(Math.min(settings.everyMs, scope.limits.graceMs) / 2, lookUpEveryMinMs),
    lookUpEveryMaxMs,
  );
  const sweeps = keepSweeping(scope, settings, token, signal).finally(() => ending.abort());
  await Promise.all([sweeps, ...createLookUps(scope).map((lane) => lane.run(lookUpEveryMs, signal))]);
}

/** Restarts the sweeps after any error, unless another process leads now. */
async function keepSweeping(
  scope: BrandScope,
  settings: ReconcilerSettings,
  token: string,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, brand } = scope;
  while (!signal.aborted) {
    try {
      await runSweepLoop(scope, settings, token, signal);
    } catch (error) {
      if (signal.aborted || error instanceof LockLostError) return;
      log.warn({ event: 'reconcile.interrupted', brand, ...reasonOf(error) });
    }
    await clock.sleep(standbyMs, signal).catch(() => undefined);
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

export function reasonOf(error: unknown): { code?: string; reason: string } {
  if (!(error instanceof Error)) return { reason: 'unknown error' };
  return { reason: error.message.slice(0, 200), ...('code' in error && { code: String(error.code) }) };
}
