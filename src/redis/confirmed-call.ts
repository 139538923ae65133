// Runs a script and reports whether enough replicas have its writes, in one pipeline: WAIT counts only the writes of its
// own connection, on the server that it reaches, and blocks that connection meanwhile. The script must write something on
// each call: since Redis 7.2 WAIT refers to the connection's last write, which could be an earlier one.
//
// Two errors are handled here, because ioredis would resend the script after the WAIT: a server that does not know the
// script yet, and a Cluster node that no longer owns the slot. In both cases nothing was executed. The script must tolerate
// being sent twice anyway. Every other error is thrown.
//
// If the server has WAITAOF, a replica counts once the write is on its disk. Replicas without an append-only file never
// confirm that; if WAIT counts them and WAITAOF does not, this connection uses WAIT from then on.
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { refreshSlots, type RedisConnection } from './connections.ts';
import type { ScriptDefinition } from './script.ts';

export interface Confirmation {
  /** REDIS_WAIT_REPLICAS; 0 waits for nothing. */
  readonly replicas: number;
  readonly timeoutMs: number;
}

/** One for each possible surprise: no WAITAOF, no script, a moved slot, and a slot that moved again meanwhile. */
const triesMax = 5;
/** The wait after replicas were missing a moment ago: each wait delays all later calls. */
const missingMs = 50;
/** WAITAOF has already asked the replicas; WAIT only reads their answers. */
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

/** A reply error begins with its code; an error without one comes from the connection. */
function codeOf(error: Error | null | undefined): string | undefined {
  if (error === null || error === undefined) return undefined;
  return /^[A-Z]{3,}(?= )/.exec(error.message)?.[0] ?? '';
}
