// The role `reconcile`: keeps every brand that has a gateway in step with it, unless another process does.
//
// Promises: a terminal transaction whose callback never came reaches the merchant, once; a difference is corrected, once. An
// outage of the gateway or of Redis only delays it; it continues from its checkpoint.
import { readReconciliationReport } from '../store/reconciliation/reconciliation-report.ts';
import { createBrandScope, type BrandScope, type ReconcileDependencies } from './brand-scope.ts';
import { reconcileBrand } from './brand-reconciler.ts';
import { checkGateway } from './gateway/check-gateway.ts';
import { systemClock } from './clock.ts';
import { fullEveryMsDefault, windowMsDefault } from './sweep/schedule.ts';
import type { ReconcilerSettings } from './sweep/sweep-loop.ts';
import { pageSizeDefault } from './sweep/window-pages.ts';

export type Reconciliation = ReturnType<typeof createReconciliation>;

const gaugesEveryMaxMs = 15_000;

export function createReconciliation(dependencies: ReconcileDependencies, overrides: Partial<ReconcilerSettings> = {}) {
  const { config, log, clock = systemClock } = dependencies;
  const settings: ReconcilerSettings = {
    everyMs: config.RECONCILE_EVERY,
    lookbackMs: config.RECONCILE_LOOKBACK,
    windowMs: windowMsDefault,
    fullEveryMs: fullEveryMsDefault,
    pageSize: pageSizeDefault,
    ...overrides,
  };
  const stopping = new AbortController();
  const { signal } = stopping;
  let scopes: BrandScope[] = [];
  let running: Promise<unknown> = Promise.resolve();

  return {
    /** Begins to reconcile; resolves at once, since no start may wait for a gateway. */
    async start(): Promise<void> {
      scopes = [...config.brands.values()].flatMap((brand) => {
        const scope = createBrandScope(dependencies, brand);
        if (scope !== undefined) return [scope];
        log.warn({
          event: 'reconcile.off',
          brand: brand.name,
          reason: 'GATEWAY_BASE_URL (or a key to ask it with) is not set: missing callbacks are not found',
        });
        return [];
      });
      running = Promise.allSettled([
        ...scopes.map((scope) => reconcileBrand(scope, settings, signal)),
        ...scopes.map((scope) => checkAtStart(scope, signal)),
        showGauges(scopes, Math.min(settings.everyMs, gaugesEveryMaxMs), signal),
      ]);
    },

    /** Aborts what is in progress; the next reconciler repeats it. */
    async stop(deadlineMs: number): Promise<void> {
      stopping.abort();
      const deadline = new AbortController();
      await Promise.race([running, clock.sleep(deadlineMs, deadline.signal).catch(() => undefined)]);
      deadline.abort();
      await Promise.all(scopes.map(({ gateway }) => gateway.close()));
    },
  };
}

/** A rejected key shows in the log (gateway-client.ts) and in `payalo_gateway_auth_ok`; other problems are logged here. */
async function checkAtStart({ gateway, brand, clock, log }: BrandScope, signal: AbortSignal): Promise<void> {
  const check = await checkGateway(gateway, clock.now(), signal);
  if (check.kind === 'unavailable') log.warn({ event: 'gateway.unavailable', brand, reason: check.reason });
}

/** Read from Redis, so that every reconcile process shows the same values, whichever sweeps. */
async function showGauges(scopes: readonly BrandScope[], everyMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // While Redis is down the gauges keep their last values; `payalo_redis_up` shows the outage.
    await showOnce(scopes).catch(() => undefined);
    await scopes[0]?.clock.sleep(everyMs, signal);
    if (scopes.length === 0) return;
  }
}

async function showOnce(scopes: readonly BrandScope[]): Promise<void> {
  const reports = await Promise.all(
    scopes.map(({ redis, queue, clock }) => readReconciliationReport(redis, queue, clock.now())),
  );
  const metrics = scopes[0]?.metrics;
  if (metrics === undefined) return;
  metrics.pendingOverdue.set(reports.reduce((sum, { pendingTooLong }) => sum + pendingTooLong, 0));
  metrics.reconciliationWindowsBehind.set(reports.reduce((sum, { windowsBehind }) => sum + windowsBehind, 0));
  metrics.reconciliationLastSuccess.set(oldestSeconds(reports.map(({ lastSuccess }) => lastSuccess)));
  metrics.reconciliationLastRecent.set(oldestSeconds(reports.map(({ lastRecent }) => lastRecent)));
  metrics.reconciliationLastFull.set(oldestSeconds(reports.map(({ lastFull }) => lastFull)));
}

/** The brand that was swept the longest ago counts, so that a stuck one does not hide behind another. 0 if never. */
function oldestSeconds(times: readonly (string | null)[]): number {
  return Math.min(...times.map((time) => (time === null ? 0 : Date.parse(time)))) / 1_000;
}
