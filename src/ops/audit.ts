// The audit trail: who changed what, when, from where, and with which result. In the log, and the latest entries in
// Redis for the console. The log line is the record; the copy in Redis may be lost, and says so.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { Log } from '../telemetry/log.ts';
import { parseJson } from '../callback/json-text.ts';

export interface Actor {
  /**
   * The token's name; `local` without tokens; `cli:` and the user's name from the command line; the user's name where a
   * trusted proxy gives it (OPS_USER_HEADER).
   */
  readonly name: string;
  /** The token's name, where `name` is what a trusted proxy says. */
  readonly via?: string | undefined;
  readonly address: string;
}

export const auditEntrySchema = z.object({
  at: z.iso.datetime(),
  by: z.string(),
  via: z.string().optional().describe("The token's name, where a trusted proxy named the user."),
  address: z.string(),
  action: z.string().describe('callback.replay, quarantine.release, forwarding.pause, ...'),
  target: z.string(),
  result: z.string(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

const entriesMax = 1_000;

export interface AuditDeps {
  readonly redis: RedisConnection;
  /** Holds the entries of all brands. */
  readonly queue: BrandQueue;
  readonly log: Log;
  readonly now?: () => number;
}

export function createAudit({ redis, queue, log, now = Date.now }: AuditDeps) {
  const key = keysOf.audit(queue);

  async function record(actor: Actor, action: string, target: string, result: string): Promise<void> {
    const at = new Date(now()).toISOString();
    const { name, via, address } = actor;
    const entry: AuditEntry = { at, by: name, ...(via !== undefined && { via }), address, action, target, result };
    log.info({ event: 'operator.action', ...entry });
    try {
      await redis
        .multi()
        .lpush(key, JSON.stringify(entry))
        .ltrim(key, 0, entriesMax - 1)
        .exec();
    } catch (error) {
      log.warn({ event: 'audit.not_kept', action, target, err: error });
    }
  }

  /** Does the action and notes its result, a failure too. */
  async function audited<T extends { kind: string }>(
    actor: Actor,
    action: string,
    target: string,
    act: () => Promise<T>,
  ): Promise<T> {
    try {
      const outcome = await act();
      await record(actor, action, target, outcome.kind);
      return outcome;
    } catch (error) {
      await record(actor, action, target, 'error');
      throw error;
    }
  }

  async function latest(count: number): Promise<AuditEntry[]> {
    const lines = await redis.lrange(key, 0, Math.min(count, entriesMax) - 1);
    return lines.flatMap((line) => auditEntrySchema.safeParse(parseJson(line)).data ?? []);
  }

  return { record, audited, latest };
}

export type Audit = ReturnType<typeof createAudit>;
