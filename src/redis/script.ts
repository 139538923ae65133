// The one way to run a Lua script: defined once with its number of keys and the shape of its reply, sent to a connection
// once, and called by its hash from then on. A batch that replicas must confirm goes through confirmed-call.ts.
import { hash } from 'node:crypto';
import * as z from 'zod';
import type { RedisConnection } from './connections.ts';

export interface ScriptDefinition<Reply> {
  readonly lua: string;
  readonly keyCount: number;
  readonly reply: z.ZodType<Reply>;
}

type Argument = string | number | Buffer;

/** Fails as Redis does (rejects), and with a ZodError where the reply has another shape. */
export type Script<Reply> = (
  redis: RedisConnection,
  keys: readonly string[],
  args?: readonly Argument[],
) => Promise<Reply>;

const commandSchema = z.custom<(...args: Argument[]) => Promise<unknown>>((value) => typeof value === 'function');
const nameCharacters = 12;

export function defineScript<Reply>({ lua, keyCount, reply }: ScriptDefinition<Reply>): Script<Reply> {
  const name = `payalo${hash('sha256', lua, 'hex').slice(0, nameCharacters)}`;
  return async (redis, keys, args = []) => {
    if (keys.length !== keyCount) throw new TypeError(`The script takes ${keyCount} keys and got ${keys.length}.`);
    if (Reflect.get(redis, name) === undefined) redis.defineCommand(name, { lua, numberOfKeys: keyCount });
    // ioredis adds a defined command under its name, where the type checker cannot see it.
    const command = commandSchema.parse(Reflect.get(redis, name));
    return reply.parse(await command.call(redis, ...keys, ...args));
  };
}
