// The claim keeper prolongs claims for as long as their jobs live. A claim lives for DEDUP_TTL, its job perhaps longer: failed
// ones for RETAIN_FAILED, others until the merchant is back.
//
// Costs nothing on a callback's way: now and then the oldest index entries are walked. Claims with more than half of DEDUP_TTL
// left are skipped. A claim that has expired although its job exists (no process was running) is rebuilt from the job. If the
// gateway sends such a callback again, it is a duplicate and is not delivered beside the kept one.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { isTerminal, referenceDigest } from '../../callback/identity.ts';
import { parseCallbackText } from '../../callback/parse-callback.ts';
import type { Config } from '../../config/config.ts';
import type { Log } from '../../telemetry/log.ts';
import { keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
import { claimAmount, claimStatus } from '../accept/claims.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { digestOfJob, identityBrandOf, type JobData } from '../../callback/job.ts';
import { createJobReader, type JobRecord } from '../callbacks/read-callbacks.ts';
import { deliveredAtMs } from '../callbacks/callback-view.ts';
import { defineScript } from '../../redis/script.ts';
import { createRounds } from '../../redis/rounds.ts';

export interface ClaimKeeperDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly config: Pick<Config, 'DEDUP_TTL' | 'RETAIN_COMPLETED' | 'RETAIN_FAILED'>;
  readonly log: Pick<Log, 'debug' | 'warn'>;
}

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const findDue = defineScript({
  lua: read('./due-claims.lua'),
  keyCount: 1,
  reply: z.tuple([z.number(), z.array(z.string())]),
});
const keepClaims = defineScript({ lua: read('./keep-claims.lua'), keyCount: 1, reply: z.unknown() });

const step = 500;
/** Their bodies are read as well. */
const batchMax = 50;
const everyMaxMs = 3_600_000;
const everyMinMs = 100;
/** Often enough that no claim expires between two looks, with a wide margin. */
const looksPerTtl = 8;

export function createClaimKeeper({ redis, queues, config, log }: ClaimKeeperDeps) {
  const readJobs = createJobReader(redis);
  const claimTtlMs = config.DEDUP_TTL;
  const merchantTtlMs = Math.max(config.RETAIN_COMPLETED, config.RETAIN_FAILED, config.DEDUP_TTL);
  const everyMs = Math.max(Math.min(everyMaxMs, Math.floor(claimTtlMs / looksPerTtl)), everyMinMs);

  async function keepBrand(queue: BrandQueue): Promise<void> {
    const enoughMs = Math.floor(claimTtlMs / 2);
    for (const part of indexParts) {
      for (let offset = 0; !rounds.isStopping(); offset += step) {
        const args = [queue.base, Date.now() - enoughMs, enoughMs, offset, step];
        const [entries, due] = await findDue(redis, [keysOf.index(queue, part)], args);
        for (let at = 0; at < due.length; at += batchMax) await keepBatch(queue, due.slice(at, at + batchMax));
        if (entries < step) break;
      }
    }
  }

  async function keepBatch(queue: BrandQueue, jobIds: readonly string[]): Promise<void> {
    const records = await readJobs(queue, jobIds, { withLogs: false });
    const kept = records.flatMap((record) => (record.data === undefined ? [] : argumentsOf(record, record.data)));
    if (kept.length === 0) return;
    await keepClaims(redis, [keysOf.index(queue, 'other')], [queue.base, claimTtlMs, merchantTtlMs, ...kept]);
  }

  /** All brands, due or not. Rejects if Redis fails. */
  async function keep(): Promise<void> {
    for (const queue of queues.values()) await keepBrand(queue);
  }

  async function keepIfDue(): Promise<void> {
    for (const queue of queues.values()) {
      const isDue = (await redis.set(keysOf.claimKeeper(queue), process.pid, 'PX', everyMs, 'NX')) === 'OK';
      if (!isDue) continue;
      await keepBrand(queue).catch(async (cause: unknown) => {
        await redis.del(keysOf.claimKeeper(queue));
        throw cause;
      });
    }
  }

  const rounds = createRounds({
    redis,
    everyMs: Math.min(everyMs, 60_000),
    round: keepIfDue,
    onError: (error) => log.warn({ event: 'claims.not_kept', err: error }),
  });

  return { keep, start: rounds.start, stop: rounds.stop };
}

function argumentsOf(record: JobRecord, data: JobData): (string | number)[] {
  const { jobId } = record;
  const { brand, status, merchantReference, gatewayReference, sequence = 0 } = data;
  const merchantDigest = merchantReference === null ? '' : referenceDigest(brand, 'merchant', merchantReference);
  const ofReference = isTerminal(status) ? '' : referenceDigest(identityBrandOf(data), 'gateway', gatewayReference);
  return [jobId, claimOf(record, data), sequence, merchantDigest, ofReference, claimStatus(status)];
}

/** The claim as accept.lua writes it; the count of duplicates is lost. */
function claimOf(record: JobRecord, { body, receivedAt, status, sequence = 0 }: JobData): string {
  const parsed = parseCallbackText(body);
  const amount = claimAmount(parsed.kind === 'callback' ? parsed.callback.finalAmount : null);
  const nonce = record.jobId.slice(digestOfJob(record.jobId).length);
  const claim = [nonce, sequence, 0, Date.parse(receivedAt).toString(36), claimStatus(status), amount];
  const at = deliveredAtMs(record);
  return [...claim, ...(at === undefined ? [] : ['delivered', at.toString(36)])].join(',');
}
