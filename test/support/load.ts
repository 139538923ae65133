// A steady load of callbacks, as the gateway sends them: one attempt each, to whichever target is next. Records every answer and
// how long it took. The rate is fixed, whether or not earlier ones were answered (an open loop), unless `inFlightMax` closes it.
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { callbackBody, newReference, testKey } from './callbacks.ts';

export interface Answer {
  readonly reference: string;
  readonly body: string;
  /** The origin that it was sent to. */
  readonly target: string;
  readonly sentAtMs: number;
  readonly endedAtMs: number;
  /** Of that time, how long this process stood still: it could not have seen an answer that was there. */
  readonly blindMs?: number;
  /** Null if there was no answer; `error` says why. */
  readonly status: number | null;
  readonly error?: string | undefined;
  /** A thief of the key sent it: the gateway knows no such transaction. */
  readonly isForged?: boolean;
}

/** What to send. */
export interface Sent {
  readonly reference: string;
  readonly body: string;
  readonly isForged?: boolean;
}

export interface LoadOptions {
  /** Origins, each used in turn. */
  readonly targets: readonly string[];
  readonly perSecond?: number;
  readonly callbacksMax?: number;
  /** While so many wait for their answers, no more are sent. */
  readonly inFlightMax?: number;
  /** Returns what is sent next; by default the gateway's example under a new reference. */
  readonly next?: () => Sent;
  readonly key?: string;
  /** The authority to trust, for https. */
  readonly ca?: string;
}

export type Load = ReturnType<typeof startLoad>;

/** The gateway gives up after this long. */
const gatewayTimeoutMs = 15_000;

export function startLoad(options: LoadOptions) {
  const { targets, perSecond = 100, callbacksMax = Infinity, inFlightMax = Infinity } = options;
  const { next = newCallback, key = testKey, ca } = options;
  const agent = new Agent({ connections: 200, ...(ca !== undefined && { connect: { ca } }) });
  const answers: Answer[] = [];
  const inFlight = new Set<Promise<void>>();
  const stopping = new AbortController();
  const stalls = watchStalls();
  const running = run();

  async function run(): Promise<void> {
    const startedAtMs = performance.now();
    for (let count = 0; count < callbacksMax && !stopping.signal.aborted; count += 1) {
      while (inFlight.size >= inFlightMax) await Promise.race(inFlight);
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
    const { status, error } = await post(target, body);
    const endedAtMs = performance.now();
    answers.push({
      reference,
      body,
      target,
      sentAtMs,
      endedAtMs,
      blindMs: stalls.between(sentAtMs, endedAtMs),
      status,
      error,
      isForged,
    });
  }

  async function post(target: string, body: string): Promise<Pick<Answer, 'status' | 'error'>> {
    try {
      const response = await request(`${target}/webhooks/payalo`, {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json' },
        body,
        dispatcher: agent,
        signal: AbortSignal.timeout(gatewayTimeoutMs),
      });
      await response.body.dump();
      return { status: response.statusCode };
    } catch (error) {
      return { status: null, error: String(error) };
    }
  }

  return {
    answers,
    acknowledged: () => answers.filter(({ status, isForged }) => status === 200 && isForged !== true),
    forged: () => answers.filter(({ status, isForged }) => status === 200 && isForged === true),
    /** Resolves when every callback that is in flight now has its answer. */
    async settled(): Promise<void> {
      await Promise.all(inFlight);
    },
    /** Resolves when `callbacksMax` are answered. */
    ended,
    /** Sends no more, and waits for the answers that are owed. */
    stop(): Promise<readonly Answer[]> {
      stopping.abort();
      return ended();
    },
  };

  async function ended(): Promise<readonly Answer[]> {
    await running;
    await Promise.all(inFlight);
    await agent.close();
    stalls.stop();
    return answers;
  }
}

/** The whole time, as the gateway would measure it. */
export function elapsedMs({ sentAtMs, endedAtMs }: Answer): number {
  return endedAtMs - sentAtMs;
}

/** Without the time in which this process stood still: for runs whose faults take the processor from it too. */
export function tookMs({ sentAtMs, endedAtMs, blindMs = 0 }: Answer): number {
  return endedAtMs - sentAtMs - blindMs;
}

/** What the gateway would record as failed. */
export function failuresOf(answers: readonly Answer[]): Answer[] {
  return answers.filter(({ status }) => status === null || status < 200 || status > 299);
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
