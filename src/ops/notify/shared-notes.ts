// What all processes know of notifications, in Redis: the state of each kind, and those that are still to be sent.
//
// A transition and its notification are written in one step, and only by the process that saw the state as it still is:
// so one of them tells, and what it tells survives its death.
import * as z from 'zod';
import { parseJson } from '../../callback/json-text.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { releaseLock } from '../../redis/lock.ts';
import { defineScript } from '../../redis/script.ts';
import { notificationSchema, type Notification } from './notification.ts';

/** A receiver that is away for a day must not fill Redis. */
const waitingMax = 1_000;

const pass = defineScript({
  keyCount: 2,
  reply: z.number(),
  lua: `if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == '' then return 1 end
redis.call('RPUSH', KEYS[2], ARGV[4])
redis.call('LTRIM', KEYS[2], -${waitingMax}, -1)
return 1`,
});

export type SharedNotes = ReturnType<typeof createSharedNotes>;

/** Rejects as Redis does. */
export function createSharedNotes(redis: RedisConnection, queue: BrandQueue) {
  const states = keysOf.notified(queue);
  const waiting = keysOf.notifications(queue);
  const sender = keysOf.notifier(queue);

  return {
    readStates: (): Promise<Record<string, string>> => redis.hgetall(states),

    /** False where another process was faster. Without a notification the state alone is noted. */
    async pass(
      field: string,
      before: string | undefined,
      after: object,
      notification?: Notification,
    ): Promise<boolean> {
      const args = [
        field,
        before ?? '',
        JSON.stringify(after),
        notification === undefined ? '' : JSON.stringify(notification),
      ];
      return (await pass(redis, [states, waiting], args)) === 1;
    },

    /** For what each process sees by itself: whether this one is the first to say so. */
    async claim(name: string, ttlMs: number): Promise<boolean> {
      return (await redis.set(`${sender}:${name}`, '1', 'PX', ttlMs, 'NX')) !== null;
    },

    push: async (notification: Notification): Promise<void> =>
      void (await redis.rpush(waiting, JSON.stringify(notification))),

    /** One process sends at a time. */
    lock: async (token: string, ttlMs: number): Promise<boolean> =>
      (await redis.set(sender, token, 'PX', ttlMs, 'NX')) !== null,

    unlock: (token: string): Promise<void> => releaseLock(redis, sender, token),

    /** Nobody sends before then: the receiver is away for all processes alike. */
    hold: async (untilMs: number, ttlMs: number): Promise<void> =>
      void (await redis.set(`${sender}:hold`, untilMs, 'PX', Math.max(Math.ceil(ttlMs), 1))),

    heldUntilMs: async (): Promise<number> => Number((await redis.get(`${sender}:hold`)) ?? 0),

    /** The oldest; `text` is what takes it away. What cannot be read is taken away at once. */
    async head(): Promise<{ readonly text: string; readonly notification: Notification } | undefined> {
      for (;;) {
        const text = await redis.lindex(waiting, 0);
        if (text === null) return undefined;
        const { data } = notificationSchema.safeParse(parseJson(text));
        if (data !== undefined) return { text, notification: data };
        await redis.lrem(waiting, 1, text);
      }
    },

    remove: async (text: string): Promise<void> => void (await redis.lrem(waiting, 1, text)),
  };
}
