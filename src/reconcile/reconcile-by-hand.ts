// `reconcile --from --to`: one sweep by hand, over any time. Works beside a running service: it takes no lock and moves
// no checkpoint, and intake delivers nothing twice.
import type { SweepCounts } from '../store/reconciliation/reconciliation-report.ts';
import { createBrandScopes, type ReconcileDependencies } from './brand-scope.ts';
import { narrowWindows, windowMsDefault } from './sweep/schedule.ts';
import { sweepWindow } from './sweep/sweep-window.ts';
import { pageSizeDefault, type Window } from './sweep/window-pages.ts';

/** The gateway is out, then. */
const failuresInARowMax = 3;

export interface HandSweepOptions extends Window {
  /** Only count. */
  readonly dryRun: boolean;
  /** Also what RECONCILE_SINCE and DEDUP_TTL keep from being injected: it may be delivered a second time. */
  readonly force: boolean;
  /** All brands without it. */
  readonly brand?: string | undefined;
}

export interface SweptByHand {
  readonly brand: string;
  readonly window: Window;
  readonly counts: SweepCounts;
  /** Why the window could not be swept to its end. After three in a row the brand's next windows are not tried. */
  readonly failure?: string;
}

/** What each window held, as it is swept; nothing where no brand has a gateway. */
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
