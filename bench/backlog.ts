// Fills a queue with many callbacks, exactly as the service does, and adds many claims whose jobs are gone.
import { createNonce, toJobData } from '../src/callback/job.ts';
import {
  acceptArguments,
  acceptKeyCount,
  batchSizeMax,
  createAcceptBatch,
  type AcceptItem,
} from '../src/store/accept/accept-batch.ts';
import { keysOf } from '../src/redis/brand-queue.ts';
import { parseCallbackText } from '../src/callback/parse-callback.ts';
import { callbackText, referenceOf } from './callback-text.ts';
import type { BenchRedis } from './rig.ts';
import { serviceQueue } from '../test/support/queues.ts';

export const defaultQueue = serviceQueue();

const dayMs = 86_400_000;
const times = {
  DEDUP_TTL: 14 * dayMs,
  RETAIN_COMPLETED: 3 * dayMs,
  RETAIN_FAILED: 90 * dayMs,
  QUARANTINE_RETAIN: 30 * dayMs,
};
const callsAtOnce = 4;
const rememberedPerCall = 10_000;

/** Total size of the bodies. */
export async function fillBacklog(redis: BenchRedis, run: string, callbacks: number): Promise<number> {
  const acceptBatch = createAcceptBatch(redis.client, defaultQueue, times, { replicas: 0, timeoutMs: 0 });
  let next = 0;
  let bytes = 0;
  const fill = async () => {
    while (next < callbacks) {
      const until = Math.min(next + batchSizeMax, callbacks);
      const items: AcceptItem[] = [];
      for (; next < until; next += 1) items.push(itemOf(referenceOf(run, next)));
      for (const { callback } of items) bytes += Buffer.byteLength(callback.body);
      await acceptBatch(items);
    }
  };
  await Promise.all(Array.from({ length: callsAtOnce }, fill));
  return bytes;
}

/** The arguments of one script call, as text: the number of keys, the keys, the arguments. */
export function batchArguments(callbacks: number): string[] {
  const items = Array.from({ length: callbacks }, (_, index) => itemOf(referenceOf('alone', index)));
  return [acceptKeyCount, ...acceptArguments(defaultQueue, times)(items)].map(String);
}

function itemOf(reference: string): AcceptItem {
  const parsed = parseCallbackText(callbackText(reference));
  if (parsed.kind !== 'callback') throw new TypeError('The benchmark’s callback is invalid.');
  const { callback } = parsed;
  const receivedAtMs = Date.now();
  const receivedAt = new Date(receivedAtMs).toISOString();
  const origin = { brand: 'default', source: 'callback', receivedAt, requestId: crypto.randomUUID() } as const;
  const data = JSON.stringify(toJobData(callback, origin));
  return { callback, source: origin.source, receivedAtMs, nonce: createNonce(), data };
}

/**
 * Claims as they remain when their jobs are gone: keys of the same length, each with the text of one real claim.
 * Written by a loop in Redis, so that a million takes seconds.
 */
export async function remember(redis: BenchRedis, count: number): Promise<void> {
  const { client } = redis;
  const [sample] = await client.keys(keysOf.claim(defaultQueue, '*'));
  if (sample === undefined) throw new TypeError('There is no claim to copy.');
  const claim = (await client.get(sample)) ?? '';
  const script = `for i = ARGV[3], ARGV[3] + ARGV[4] - 1 do
    redis.call('SET', KEYS[1] .. string.format('%0' .. ARGV[5] .. 'd', i), ARGV[1], 'PX', ARGV[2])
  end`;
  const base = keysOf.claim(defaultQueue, '');
  const digestLength = sample.length - base.length;
  for (let at = 0; at < count; at += rememberedPerCall) {
    await client.eval(
      script,
      1,
      base,
      claim,
      times.DEDUP_TTL,
      at,
      Math.min(rememberedPerCall, count - at),
      digestLength,
    );
  }
}
