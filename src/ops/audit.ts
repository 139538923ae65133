// The audit trail: who changed what, when, from where, and with which result. It goes to the log at any LOG_LEVEL, and to
// Redis for the console and for `audit`: the latest 20,000 entries of at most 400 days. The log line is the record; if the
// copy in Redis fails, the log says so. Commands write no log, so their entries are only in Redis.
import * as z from 'zod';
import { agreedNowMs } from '../redis/agreed-time.ts';
import { keysOf, type BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { Log } from '../telemetry/log.ts';
import { parseJson } from '../callback/json-text.ts';

export interface Actor {
  /**
   * The token's name; `local` without tokens; `cli:` and the user's name for commands; the user's name if a trusted proxy
   * sends it (OPS_USER_HEADER).
   */
  readonly name: string;
  /** The token's name, if `name` comes from a trusted proxy. */
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

/** About 4 MB. */
const entriesMax = 20_000;
/** A year and a margin. Entries contain names of people, so they are not kept for ever. */
const keptMs = 400 * 86_400_000;
/** Limits the work per action after a long pause. */
const expiredPerEntry = 20;
const pageEntries = 1_000;

export interface AuditDeps {
  readonly redis: RedisConnection;
  /** New entries of all brands go to the first one's keys; the others may have older ones, from when they were first. */
  readonly queues: readonly BrandQueue[];
  readonly log: Log;
  readonly now?: () => number;
}

export function createAudit({ redis, queues, log, now = Date.now }: AuditDeps) {
  const keys = queues.map((queue) => keysOf.audit(queue));
  const [key = ''] = keys;
  const trail = log.child({}, { level: 'info' });

  async function record(actor: Actor, action: string, target: string, result: string): Promise<void> {
    const at = new Date(now()).toISOString();
    const { name, via, address } = actor;
    const entry: AuditEntry = { at, by: name, ...(via !== undefined && { via }), address, action, target, result };
    trail.info({ event: 'operator.action', ...entry });
    try {
      await redis
        .multi()
        .lpush(key, JSON.stringify(entry))
        .ltrim(key, 0, entriesMax - 1)
        .exec();
      await expire();
    } catch (error) {
      log.warn({ event: 'audit.not_kept', action, target, err: error });
    }
  }

  async function expire(): Promise<void> {
    const oldest = await redis.lrange(key, -expiredPerEntry, -1);
    const notBeforeMs = (await agreedNowMs(redis, now())) - keptMs;
    const old = oldest.filter((line) => atOf(line) < notBeforeMs).length;
    if (old > 0) await redis.rpop(key, old);
  }

  /** Runs the action and records its result, even a failure. */
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
    const last = Math.min(count, entriesMax) - 1;
    const lines = await Promise.all(keys.map((one) => redis.lrange(one, 0, last)));
    return lines.flat().flatMap(toEntries).toSorted(byTime).slice(0, count);
  }

  /** Oldest first. */
  async function between(fromMs: number, toMs: number): Promise<AuditEntry[]> {
    const entries: AuditEntry[] = [];
    for (const one of keys) {
      for (let start = 0; start < entriesMax; start += pageEntries) {
        const page = (await redis.lrange(one, start, start + pageEntries - 1)).flatMap(toEntries);
        entries.push(...page.filter(({ at }) => Date.parse(at) >= fromMs && Date.parse(at) < toMs));
        // Newest first; clocks of several processes may differ a little, so a whole page must be older.
        if (page.every(({ at }) => Date.parse(at) < fromMs)) break;
      }
    }
    return entries.toSorted(byTime).toReversed();
  }

  return { record, audited, latest, between };
}

function toEntries(line: string): AuditEntry[] {
  const { data } = auditEntrySchema.safeParse(parseJson(line));
  return data === undefined ? [] : [data];
}

/** An unreadable entry counts as old. */
function atOf(line: string): number {
  return Date.parse(toEntries(line)[0]?.at ?? new Date(0).toISOString());
}

/** Newest first, as in Redis; entries of the same moment keep their order. */
function byTime(one: AuditEntry, other: AuditEntry): number {
  return Date.parse(other.at) - Date.parse(one.at);
}

export type Audit = ReturnType<typeof createAudit>;
