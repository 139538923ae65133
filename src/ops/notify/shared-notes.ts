// The shared state of notifications in Redis: the state of each kind, and the notifications still to be sent.
//
// A transition and its notification are written in one step, and only if the stored state is still the one that was read: so
// exactly one process notifies, and the notification survives that process.
import * as z from 'zod';
import { parseJson } from '../../callback/json-text.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { releaseLock } from '../../redis/lock.ts';
import { defineScript } from '../../redis/script.ts';
import { notificationSchema, type Notification } from './notification.ts';

/** A receiver that is down for a day must not fill Redis. */
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

/** Rejects if Redis fails. */
export function createSharedNotes(redis: RedisConnection, queue: BrandQueue) {
  const states = keysOf.notified(queue);
  const waiting = keysOf.notifications(queue);
  const sender = keysOf.notifier(queue);

  return {
    readStates: (): Promise<Record<string, string>> => redis.hgetall(states),

    /** False if another process was first. Without a notification only the state is stored. */
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

    /** For conditions that each process sees itself: whether this one is the first to report it. */
    async claim(name: string, ttlMs: number): Promise<boolean> {
      return (await redis.set(`${sender}:${name}`, '1', 'PX', ttlMs, 'NX')) !== null;
    },

    push: async (notification: Notification): Promise<void> =>
      void (await redis.rpush(waiting, JSON.stringify(notification))),

    /** Only one process sends at a time. */
    lock: async (token: string, ttlMs: number): Promise<boolean> =>
      (await redis.set(sender, token, 'PX', ttlMs, 'NX')) !== null,

    unlock: (token: string): Promise<void> => releaseLock(redis, sender, token),

    /** Nobody sends before then: the receiver is down for all processes alike. */
    hold: async (untilMs: number, ttlMs: number): Promise<void> =>
      void (await redis.set(`${sender}:hold`, untilMs, 'PX', Math.max(Math.ceil(ttlMs), 1))),

    heldUntilMs: async (): Promise<number> => Number((await redis.get(`${sender}:hold`)) ?? 0),

    /** The oldest one; `text` identifies it for removal. An unreadable one is removed at once. */
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
