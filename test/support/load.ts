// A stream of genuine callbacks, as the gateway sends them: one attempt each, at most 15 seconds, never again.
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { callbackBody, newReference, testKey } from './callbacks.ts';

export interface Sent {
  readonly reference: string;
  /** Undefined where there was no answer; `error` says why. */
  readonly status: number | undefined;
  readonly error: string | undefined;
  readonly ms: number;
}

export interface LoadOptions {
  /** Of the callback path. */
  readonly url: string;
  readonly key?: string;
  readonly senders?: number;
  /** The authority to trust, for https. */
  readonly ca?: string;
}

export interface Load {
  /** Grows while the load lasts. */
  readonly sent: readonly Sent[];
  /** Resolves when all that are under way now have their answers. */
  settled(): Promise<void>;
  stop(): Promise<readonly Sent[]>;
}

const gatewayTimeoutMs = 15_000;
/** Between two callbacks of one sender: a steady stream, not a race for the processor. */
const paceMs = 10;

export function startLoad({ url, key = testKey, senders = 4, ca }: LoadOptions): Load {
  const sent: Sent[] = [];
  const agent = new Agent({ connections: senders, ...(ca !== undefined && { connect: { ca } }) });
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();

  async function sendOne(): Promise<void> {
    const reference = newReference();
    const startedAt = performance.now();
    let status: number | undefined;
    let error: string | undefined;
    try {
      const { statusCode, body } = await request(url, {
        method: 'POST',
        dispatcher: agent,
        headers: { 'x-api-key': key, 'content-type': 'application/json' },
        body: callbackBody({ reference }),
        signal: AbortSignal.timeout(gatewayTimeoutMs),
      });
      await body.dump();
      status = statusCode;
    } catch (cause) {
      error = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    }
    sent.push({ reference, status, error, ms: performance.now() - startedAt });
  }

  const running = Array.from({ length: senders }, async () => {
    while (!stopping.signal.aborted) {
      const sending = sendOne();
      underWay.add(sending);
      await sending;
      underWay.delete(sending);
      await delay(paceMs);
    }
  });

  return {
    sent,
    async settled() {
      await Promise.all(underWay);
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
      await agent.close();
      return sent;
    },
  };
}

/** What the gateway would have recorded as failed, for a message that says more than a number. */
export function failuresOf(sent: readonly Sent[]): Sent[] {
  return sent.filter(({ status }) => status === undefined || status < 200 || status > 299);
}
