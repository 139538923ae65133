// `reconcile --from --to`: one sweep by hand, over any period. Works beside a running service: it takes no lock and moves no
// checkpoint, and intake delivers nothing twice.
import type { SweepCounts } from '../store/reconciliation/reconciliation-report.ts';
import { createBrandScopes, type ReconcileDependencies } from './brand-scope.ts';
import { narrowWindows, windowMsDefault } from './sweep/schedule.ts';
import { sweepWindow } from './sweep/sweep-window.ts';
import { pageSizeDefault, type Window } from './sweep/window-pages.ts';

/** The gateway then counts as down. */
const failuresInARowMax = 3;

export interface HandSweepOptions extends Window {
  /** Only counts. */
  readonly dryRun: boolean;
  /** Also injects what RECONCILE_SINCE and DEDUP_TTL exclude; it may be delivered a second time. */
  readonly force: boolean;
  /** All brands if undefined. */
  readonly brand?: string | undefined;
}

export interface SweptByHand {
  readonly brand: string;
  readonly window: Window;
  readonly counts: SweepCounts;
  /** Why the window could not be swept completely. After three in a row the brand's remaining windows are skipped. */
  readonly failure?: string;
}

/** Yields each window's counts as it is swept; nothing if no brand has a gateway. */
export async function* reconcileByHand(
  dependencies: ReconcileDependencies,
  { fromMs, toMs, dryRun, force, brand }: HandSweepOptions,
  signal: AbortSignal,
): AsyncGenerator<SweptByHand> {
  const scopes = createBrandScopes(dependencies, brand);
  const requestId = `by-hand-${Date.now().toString(36)}`;
  try {
    for (const scope of scopes) {
      const mode = { inject: !dryRun, force, pageSize: pageSizeDefault, requestId };
      let failuresInARow = 0;
      for (const window of narrowWindows({ fromMs, toMs }, windowMsDefault)) {
        const swept = await sweepWindow(scope, window, mode, signal);
        const failure = swept.kind === 'failed' ? { failure: swept.reason } : {};
        yield { brand: scope.brand, window, counts: swept.counts, ...failure };
        failuresInARow = swept.kind === 'failed' ? failuresInARow + 1 : 0;
        if (failuresInARow >= failuresInARowMax) break;
      }
    }
  } finally {
    await Promise.all(scopes.map(({ gateway }) => gateway.close()));
  }
}
