// Transactions that only the gateway knows: their callbacks are never sent, so the reconciler must find them.
//
// Every third is pending at first. Every fifth fails and becomes a success some seconds later, which must reach the
// merchant as one correction.
import { setTimeout as delay } from 'node:timers/promises';
import type { GatewaySimulator } from '../../simulator/gateway.ts';
import type { Truth } from './auditor.ts';

export type Truths = ReturnType<typeof startTruths>;

const everyMs = 400;
const endsAfterMs = 1_500;
const turnsAfterMs = 6_000;

export function startTruths(gateway: GatewaySimulator) {
  const truths = new Map<string, { bodies: string[] }>();
  const stopping = new AbortController();
  const later = new Set<Promise<void>>();
  const running = run();

  async function run(): Promise<void> {
    for (let count = 1; !stopping.signal.aborted; count += 1) {
      begin(count);
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  function begin(count: number): void {
    const status = statusOf(count);
    const [transaction] = gateway.addTransactions({
      count: 1,
      status,
      completedAfterMs: 0,
      merchantReferencePrefix: `truth-${count}`,
    });
    const reference = transaction?.gatewayReference ?? '';
    const truth = { bodies: status === 'pending' ? [] : [gateway.bodyOf(reference)] };
    truths.set(reference, truth);
    if (status === 'success') return;
    const change: Promise<void> = become(reference, truth, status === 'pending' ? endsAfterMs : turnsAfterMs).finally(
      () => later.delete(change),
    );
    later.add(change);
  }

  async function become(reference: string, truth: { bodies: string[] }, afterMs: number): Promise<void> {
    // When the load is over, unfinished transactions end at once.
    await delay(afterMs, undefined, { signal: stopping.signal }).catch(() => {});
    await gateway.correct(reference, { status: 'success' });
    truth.bodies.push(gateway.bodyOf(reference));
  }

  return {
    truths: (): ReadonlyMap<string, Truth> => truths,
    has: (reference: string) => truths.has(reference),
    /** Starts no more; resolves once every transaction has its final state. */
    async stop(): Promise<void> {
      stopping.abort();
      await running;
      await Promise.all(later);
    },
  };
}

function statusOf(count: number): string {
  if (count % 5 === 0) return 'failed';
  return count % 3 === 0 ? 'pending' : 'success';
}
