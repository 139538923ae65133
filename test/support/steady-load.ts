// Requests at a steady rate, whether or not those before were answered: what a sender does that does not wait for us.
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { callbackBody, newReference, testKey } from './callbacks.ts';

export interface Answered {
  /** Empty where the body was given. */
  readonly reference: string;
  /** Null where none came. */
  readonly status: number | null;
  readonly ms: number;
  /** Since the first request. */
  readonly sentAtMs: number;
}

export interface SteadyLoadOptions {
  /** Of the callback path. */
  readonly url: string;
  readonly perSecond: number;
  readonly seconds: number;
  /** Default: a callback under a reference of its own. */
  readonly body?: string;
}

/** Resolves when all are answered, in the order in which they were sent. */
export async function steadyLoad({ url, perSecond, seconds, body }: SteadyLoadOptions): Promise<Answered[]> {
  const agent = new Agent({ headersTimeout: 60_000 });
  const startedAt = performance.now();

  async function send(): Promise<Answered> {
    const reference = body === undefined ? newReference() : '';
    const sentAt = performance.now();
    let status: number | null = null;
    try {
      const answer = await request(url, {
        method: 'POST',
        dispatcher: agent,
        headers: { 'x-api-key': testKey, 'content-type': 'application/json' },
        body: body ?? callbackBody({ reference }),
      });
      await answer.body.dump();
      status = answer.statusCode;
    } catch {
      // A connection that ends without an answer.
    }
    return { reference, status, ms: performance.now() - sentAt, sentAtMs: sentAt - startedAt };
  }

  const answers: Promise<Answered>[] = [];
  for (let number = 0; number < perSecond * seconds; number += 1) {
    await delay(Math.max(startedAt + (number * 1_000) / perSecond - performance.now(), 0));
    answers.push(send());
  }
  const all = await Promise.all(answers);
  await agent.close();
  return all;
}
