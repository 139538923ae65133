// Runs Lua scripts: defined once with the number of keys and the shape of the reply, sent to a connection once and called
// by hash afterwards. A batch that replicas must confirm goes through confirmed-call.ts.
import { hash } from 'node:crypto';
import * as z from 'zod';
import type { RedisConnection } from './connections.ts';

export interface ScriptDefinition<Reply> {
  readonly lua: string;
  readonly keyCount: number;
  readonly reply: z.ZodType<Reply>;
}

type Argument = string | number | Buffer;

/** Rejects if Redis fails, and with a ZodError if the reply has another shape. */
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
    // ioredis adds a defined command as a method that the type checker does not know.
    const command = commandSchema.parse(Reflect.get(redis, name));
    return reply.parse(await command.call(redis, ...keys, ...args));
  };
}
