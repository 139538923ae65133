// Follows one callback from the start of its transaction to the merchant's answer: one event per change.
import type { CallbackView } from '../store/callbacks/callback-view.ts';
import type { Clock } from '../reconcile/clock.ts';

export type FollowEvent =
  | { readonly kind: 'received'; readonly at: string; readonly source: string | null; readonly status: string | null }
  | {
      readonly kind: 'attempted';
      readonly at: string;
      readonly attempt: number | undefined;
      readonly answer: string;
      readonly ms: number | undefined;
    }
  | { readonly kind: 'ended'; readonly state: 'delivered' | 'failed' | 'superseded'; readonly at: string };

export interface FollowDependencies {
  readonly find: (gatewayReference: string) => Promise<CallbackView | undefined>;
  readonly clock: Clock;
}

const lookEveryMs = 150;

/** Ends with `ended`, or rejects when the signal aborts. */
export async function* followCallback(
  { find, clock }: FollowDependencies,
  gatewayReference: string,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent> {
  let received = false;
  let attempts = 0;
  for (;;) {
    const view = await find(gatewayReference);
    if (view !== undefined) {
      if (!received) yield { kind: 'received', at: view.receivedAt, source: view.source, status: view.status };
      received = true;
      for (const { attempt, at, status, error, ms } of view.attempts.slice(attempts)) {
        yield { kind: 'attempted', at, attempt, answer: status === undefined ? (error ?? '') : String(status), ms };
      }
      attempts = view.attempts.length;
      if (view.state === 'delivered' || view.state === 'failed' || view.state === 'superseded') {
        const at = view.deliveredAt ?? new Date(clock.now()).toISOString();
        yield { kind: 'ended', state: view.state, at };
        return;
      }
    }
    await clock.sleep(lookEveryMs, signal);
  }
}
