// A steady load of distinct callbacks, as the gateway sends them: one attempt each, to whichever receiver is next,
// whatever it answers. Notes every answer and how long it took.
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import type { Answer } from './auditor.ts';

export interface Sent {
  readonly reference: string;
  readonly body: string;
  readonly isForged?: boolean;
}

export interface LoadOptions {
  readonly targets: readonly string[];
  readonly perSecond: number;
  /** No more than these. */
  readonly callbacksMax?: number;
  /** What is sent next; by default the gateway's example under a new reference. */
  readonly next?: () => Sent;
}

export type Load = ReturnType<typeof startLoad>;

/** The gateway gives up after this long. */
const gatewayTimeoutMs = 15_000;

export function startLoad({ targets, perSecond, callbacksMax = Infinity, next = newCallback }: LoadOptions) {
  const agent = new Agent({ connections: 200 });
  const answers: Answer[] = [];
  const inFlight = new Set<Promise<void>>();
  const stopping = new AbortController();
  const stalls = watchStalls();
  const running = run();

  async function run(): Promise<void> {
    const startedAtMs = performance.now();
    for (let count = 0; count < callbacksMax && !stopping.signal.aborted; count += 1) {
      const sending: Promise<void> = send(targets[count % targets.length] ?? '').finally(() =>
        inFlight.delete(sending),
      );
      inFlight.add(sending);
      const dueInMs = startedAtMs + (count * 1_000) / perSecond - performance.now();
      if (dueInMs > 0) await delay(dueInMs);
    }
  }

  async function send(target: string): Promise<void> {
    const { reference, body, isForged = false } = next();
    const sentAtMs = performance.now();
    const status = await post(target, body);
    const endedAtMs = performance.now();
    answers.push({
      reference,
      body,
      target,
      sentAtMs,
      endedAtMs,
      blindMs: stalls.between(sentAtMs, endedAtMs),
      status,
      isForged,
    });
  }

  async function post(target: string, body: string): Promise<number | null> {
    try {
      const response = await request(`${target}/webhooks/payalo`, {
        method: 'POST',
        headers: { 'x-api-key': testKey, 'content-type': 'application/json' },
        body,
        dispatcher: agent,
        signal: AbortSignal.timeout(gatewayTimeoutMs),
      });
      await response.body.dump();
      return response.statusCode;
    } catch {
      return null;
    }
  }

  return {
    answers,
    acknowledged: () => answers.filter(({ status, isForged }) => status === 200 && isForged !== true),
    forged: () => answers.filter(({ status, isForged }) => status === 200 && isForged === true),
    /** Sends no more and waits for the answers that are owed. */
    async stop(): Promise<void> {
      stopping.abort();
      await running;
      await Promise.all(inFlight);
      await agent.close();
      stalls.stop();
    },
  };
}

const lookEveryMs = 50;
/** A timer may be late by so much on a busy machine. */
const stalledMs = 250;

/**
 * When this process stood still, on a machine that is busy with other things. An answer that came meanwhile is seen only
 * afterwards: that time is the stopwatch's own, and nobody's fault.
 */
function watchStalls() {
  const stalls: { readonly fromMs: number; readonly toMs: number }[] = [];
  let lookedAtMs = performance.now();
  function look(): void {
    const nowMs = performance.now();
    if (nowMs - lookedAtMs > stalledMs) stalls.push({ fromMs: lookedAtMs + lookEveryMs, toMs: nowMs });
    lookedAtMs = nowMs;
  }
  const timer = setInterval(look, lookEveryMs);

  return {
    between(fromMs: number, toMs: number): number {
      look();
      const overlaps = stalls.map((stall) => Math.min(stall.toMs, toMs) - Math.max(stall.fromMs, fromMs));
      return overlaps.reduce((sum, ms) => sum + Math.max(ms, 0), 0);
    },
    stop: () => clearInterval(timer),
  };
}

function newCallback(): Sent {
  const reference = newReference();
  return { reference, body: callbackBody({ reference }) };
}
