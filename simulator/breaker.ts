// The gateway's circuit breaker for one merchant: after several failures in a row callbacks are not attempted; after a while
// one is let through as a probe, whose outcome closes or reopens the breaker.

export interface BreakerOptions {
  readonly failuresToOpen: number;
  readonly openMs: number;
  readonly now: () => number;
}

export type Breaker = ReturnType<typeof createBreaker>;

export function createBreaker({ failuresToOpen, openMs, now }: BreakerOptions) {
  let failuresInARow = 0;
  let openedAtMs: number | null = null;
  let probing = false;

  function state(): 'closed' | 'open' | 'half-open' {
    if (openedAtMs === null) return 'closed';
    return now() - openedAtMs < openMs ? 'open' : 'half-open';
  }

  return {
    state,
    /** Whether a callback may be attempted now. A caller that gets true must report the outcome with `record`. */
    pass(): boolean {
      if (state() === 'closed') return true;
      if (state() === 'open' || probing) return false;
      probing = true;
      return true;
    },
    record(delivered: boolean): void {
      probing = false;
      failuresInARow = delivered ? 0 : failuresInARow + 1;
      if (delivered) openedAtMs = null;
      else if (openedAtMs !== null || failuresInARow >= failuresToOpen) openedAtMs = now();
    },
  };
}
