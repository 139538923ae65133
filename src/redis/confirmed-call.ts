// Runs a script and learns whether enough replicas have what it wrote, in one pipeline: WAIT counts the writes of its own
// connection only, on the server that it reaches, and holds that connection up meanwhile. The script must write something
// on each call: since Redis 7.2 WAIT goes back to the connection's last write, which could be any earlier one.
//
// What would part the two is dealt with here instead of by ioredis, which would send the script again behind the WAIT: a
// server that does not know the script yet, and on a Cluster one that does not own the slot any more. Both executed
// nothing. The script must bear being sent twice anyway. Every other error is thrown.
//
// Where the server has WAITAOF, a replica counts once the write is on its disk. Replicas that keep no append-only file
// never say so; where WAIT counts them and WAITAOF does not, WAIT decides from then on, for this connection.
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { refreshSlots, type RedisConnection } from './connections.ts';
import type { ScriptDefinition } from './script.ts';

export interface Confirmation {
  /** REDIS_WAIT_REPLICAS; with 0 nothing is waited for. */
  readonly replicas: number;
  readonly timeoutMs: number;
}

/** One for each lesson there is: no WAITAOF, no script, a slot that moved, and moved again while that was learned. */
const triesMax = 5;
/** Replicas that were missing a moment ago are not waited for at length again: each wait holds up all who come next. */
const missingMs = 50;
/** By then WAITAOF has asked the replicas; WAIT only reads their answers. */
const alreadyAskedMs = 1;

export function createConfirmedCall(
  redis: RedisConnection,
  { lua, keyCount }: Pick<ScriptDefinition<unknown>, 'lua' | 'keyCount'>,
  wait: Confirmation,
) {
  const sha = createHash('sha1').update(lua).digest('hex');
  const { replicas, timeoutMs } = wait;
  let onDisk = true;
  let missing = false;

  async function send(bySha: boolean, args: readonly (string | number)[]) {
    const pipeline = redis.pipeline();
    if (bySha) pipeline.evalsha(sha, keyCount, ...args);
    else pipeline.eval(lua, keyCount, ...args);
    const waitMs = missing ? Math.min(missingMs, timeoutMs) : timeoutMs;
    if (onDisk) pipeline.call('WAITAOF', 0, replicas, waitMs);
    pipeline.wait(replicas, onDisk ? alreadyAskedMs : waitMs);
    const replies = (await pipeline.exec()) ?? [];
    return { ran: replies.at(0), waitedForDisk: onDisk ? replies.at(1) : undefined, waited: replies.at(-1) };
  }

  function isConfirmed({ waitedForDisk, waited }: Awaited<ReturnType<typeof send>>): boolean {
    const held = z.number().parse(resultOf(waited));
    if (waitedForDisk === undefined) return held >= replicas;
    const [, onTheirDisks] = diskReply.parse(resultOf(waitedForDisk));
    if (onTheirDisks >= replicas) return true;
    if (held >= replicas) onDisk = false;
    return held >= replicas;
  }

  return async function confirmedCall(args: readonly (string | number)[]) {
    let bySha = true;
    for (let tries = 1; ; tries += 1) {
      const replies = await send(bySha, args);
      const refused = replies.ran?.[0] ?? undefined;
      const code = codeOf(refused);
      if (code === undefined && codeOf(replies.waitedForDisk?.[0]) === undefined) {
        const confirmed = isConfirmed(replies);
        missing = !confirmed;
        return { result: resultOf(replies.ran), confirmed };
      }
      if (tries === triesMax) throw refused ?? new Error('WAITAOF is refused.');
      if (code === undefined) onDisk = false;
      else if (code === 'NOSCRIPT') bySha = false;
      else if (code === 'MOVED') await refreshSlots(redis);
      else throw refused ?? new TypeError('An error code comes from an error.');
    }
  };
}

/** Local fsyncs, replicas' fsyncs. */
const diskReply = z.tuple([z.number(), z.number()]);

function resultOf(reply: readonly [error: Error | null, result: unknown] | undefined): unknown {
  const [error, result] = reply ?? [];
  if (error !== null && error !== undefined) throw error;
  return result;
}

/** The first word of a reply error is its code in the protocol; an error without one is a connection's. */
function codeOf(error: Error | null | undefined): string | undefined {
  if (error === null || error === undefined) return undefined;
  return /^[A-Z]{3,}(?= )/.exec(error.message)?.[0] ?? '';
}
