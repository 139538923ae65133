// Defines a Lua script on a connection: sent once, called by its hash from then on.
import * as z from 'zod';
import type { RedisConnection } from './connections.ts';

type Call = (...args: (string | number)[]) => Promise<unknown>;
const callSchema = z.custom<Call>((value) => typeof value === 'function');

/** `keys` first, then the other arguments. Fails as Redis does (rejects). */
export function defineScript(redis: RedisConnection, name: string, lua: string) {
  if (Reflect.get(redis, name) === undefined) redis.defineCommand(name, { lua });
  // ioredis adds a defined command under its name, where the type checker cannot see it.
  const call = callSchema.parse(Reflect.get(redis, name));
  return (keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> =>
    call.call(redis, keys.length, ...keys, ...args);
}
