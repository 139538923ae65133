// Runs the breaker's script at a chosen time, and reads the state that it leaves in a real Redis.
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import * as z from 'zod';

export type BreakerAt = Awaited<ReturnType<typeof createBreakerAt>>;

/** Distinct numbers, so that each is visible in the results. */
export const settings = { concurrency: 50, opening: 5, firstWaitMs: 1_000, longestWaitMs: 10_000, windowMs: 17_000 };
export const memoryMs = 600_000;
export const startMs = 1_800_000_000_123;
/** What BullMQ's queue.rateLimit() writes into the limiter. */
export const byHand = String(Number.MAX_SAFE_INTEGER);

const keyNames = ['breaker', 'failures', 'meta', 'limiter', 'resting', 'own', 'delayed', 'marker', 'wait'] as const;
const scriptOfRedis = readFileSync(new URL('../../src/deliver/breaker/breaker.lua', import.meta.url), 'utf8');
const script = scriptOfRedis.replace("redis.call('TIME')", '{ ARGV[11], ARGV[12] }');
const replySchema = z.tuple([z.string(), z.number(), z.string(), z.number(), z.number()]);
/** One second of tolerance, for a busy machine. */
const holdsMs = [1_000, 2_000, 3_000, 4_000, 8_000, 9_000, 10_000, 17_000, 30_000, 60_000, 3_600_000];
let count = 0;

interface Asked {
  /** Milliseconds since `startMs`. */
  readonly at?: number;
  /** How long ago the job was taken. */
  readonly tookMs?: number;
  readonly hasAnswered?: boolean;
  readonly concurrency?: number;
}

export async function createBreakerAt(url: string) {
  if (script === scriptOfRedis) throw new Error('breaker.lua no longer contains the expected call for the time');
  const redis = new Redis(url);
  count += 1;
  const key = (name: (typeof keyNames)[number]) => `{breaker-${count}}${name}`;
  const keys = keyNames.map(key);

  async function ask(operation: 'observe' | 'failure' | 'success', jobId: string, asked: Asked) {
    const { at = 0, tookMs = 0, hasAnswered = false, concurrency = settings.concurrency } = asked;
    const { opening, firstWaitMs, longestWaitMs, windowMs } = settings;
    const fixed = [concurrency, opening, firstWaitMs, longestWaitMs, windowMs, memoryMs];
    const now = startMs + at;
    const time = [Math.floor(now / 1_000), (now % 1_000) * 1_000 + 999];
    const job = [jobId, tookMs, hasAnswered ? 1 : 0];
    const reply = await redis.eval(script, keys.length, ...keys, operation, ...fixed, ...job, ...time);
    const [phase, failures, verdict, restMs, resting] = replySchema.parse(reply);
    return { phase, failures, verdict, restMs, resting };
  }

  return {
    redis,
    key,
    observe: async (asked: Asked = {}) => ask('observe', '', asked),
    fail: async (jobId: string, asked: Asked = {}) => ask('failure', jobId, asked),
    succeed: async (asked: Asked = {}) => ask('success', '', asked),
    /** Opens it at `startMs` by failures of the jobs a, b, c, d and e; the last one rests. */
    async open() {
      for (const jobId of ['a', 'b', 'c', 'd', 'e']) await ask('failure', jobId, {});
    },
    state: async () => redis.hgetall(key('breaker')),
    limit: async () => redis.hmget(key('meta'), 'max', 'duration'),
    setLimit: async (max: number, duration: number) => redis.hset(key('meta'), { max, duration }),
    /** The limiter's count and the time for which it is held. */
    async held() {
      const [counted, leftMs] = [await redis.get(key('limiter')), await redis.pttl(key('limiter'))];
      return counted === null ? undefined : { count: counted, ms: holdsMs.find((ms) => leftMs <= ms) };
    },
    close: () => redis.disconnect(),
  };
}
