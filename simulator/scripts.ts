// Runs the scripted outcomes: waits, changes the transaction, sends its callbacks. When the simulator closes, scripts end
// early and their remaining callbacks never come, as in a gateway that dies.
import { setTimeout as delay } from 'node:timers/promises';
import type { CallbackSender } from './callbacks.ts';
import type { Outcome, Step } from './outcomes.ts';
import { stateAfter, type Transaction } from './transactions.ts';

export interface ScriptsOptions {
  readonly sender: CallbackSender;
  /** The length of one callback delay, drawn anew for each step. */
  readonly delayMs: () => number;
  readonly now: () => number;
}

export type Scripts = ReturnType<typeof createScripts>;

export function createScripts({ sender, delayMs, now }: ScriptsOptions) {
  const running = new Set<Promise<void>>();
  const closing = new AbortController();

  async function take(transaction: Transaction, { become, vanish, say, callback }: Step): Promise<void> {
    if (become !== undefined) transaction.state = stateAfter(transaction, become, now());
    if (vanish) transaction.misbehaviour = { ...transaction.misbehaviour, denied: true };
    if (callback === 'none') return;
    const state = say === undefined ? transaction.state : stateAfter(transaction, say, now());
    await sender.send(transaction, { state, copies: callback === 'twice' ? 2 : 1, lost: callback === 'lost' });
  }

  async function run(transaction: Transaction, { steps }: Pick<Outcome, 'steps'>): Promise<void> {
    for (const step of steps) {
      if (step.after > 0) await delay(step.after * delayMs(), undefined, { signal: closing.signal });
      await take(transaction, step);
    }
  }

  return {
    /** Resolves when the script is over; never rejects. */
    play(transaction: Transaction, outcome: Pick<Outcome, 'steps'>): Promise<void> {
      const script: Promise<void> = run(transaction, outcome)
        .catch((error: unknown) => {
          if (!closing.signal.aborted) throw error;
        })
        .finally(() => running.delete(script));
      running.add(script);
      return script;
    },
    /** Resolves when no script is running: the outcome of every scheduled callback is known. */
    async idle(): Promise<void> {
      while (running.size > 0) await Promise.all(running);
    },
    async close(): Promise<void> {
      closing.abort();
      await Promise.all(running);
    },
  };
}
