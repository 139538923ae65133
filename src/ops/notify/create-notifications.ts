// Puts notifications together for one process; nothing at all without NOTIFY_URL.
import type { Config } from '../../config/config.ts';
import type { Egress } from '../../http/http-pool.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import type { CallbackIndex } from '../../store/callbacks/callback-index.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ReadOverview } from '../overview.ts';
import type { ReadReconciliation } from '../reconciliation-overview.ts';
import type { Facts } from './kinds.ts';
import { createNotifier } from './notifier.ts';
import { createOutbox } from './outbox.ts';
import { createPoster } from './post-notification.ts';
import { createSharedNotes } from './shared-notes.ts';

export interface NotificationsDeps extends Pick<Egress, 'lookup'> {
  readonly config: Config;
  readonly redis: RedisConnection;
  /** Holds what all processes share. */
  readonly queue: BrandQueue;
  readonly overview: ReadOverview;
  readonly reconciliation: ReadReconciliation;
  readonly callbackIndex: Pick<CallbackIndex, 'list'>;
  readonly isRedisUp: () => boolean;
  readonly metrics: Metrics;
  readonly log: Log;
}

const referencesMax = 10;

export function createNotifications(deps: NotificationsDeps) {
  const { config, redis, queue, metrics, log, lookup } = deps;
  if (config.NOTIFY_URL === undefined) return undefined;
  const poster = createPoster({ url: config.NOTIFY_URL, secrets: config.NOTIFY_SECRET, proxies: config, lookup });
  const notes = createSharedNotes(redis, queue);
  const outbox = createOutbox({ notes, post: poster.post, metrics, log });
  const notifier = createNotifier({ readFacts: createReadFacts(deps), notes, outbox, log });
  return {
    start: () => notifier.start(),
    async stop(): Promise<void> {
      await notifier.stop();
      await poster.close();
    },
  };
}

function createReadFacts({ config, overview, reconciliation, callbackIndex, isRedisUp }: NotificationsDeps) {
  let failed: { readonly count: number; readonly references: readonly string[] } = { count: 0, references: [] };

  /** Read again only where their number changed. */
  async function failedReferences(count: number): Promise<readonly string[]> {
    if (count === failed.count) return failed.references;
    const { data } = await callbackIndex.list({ state: 'failed', limit: referencesMax });
    const references = data.flatMap(({ gatewayReference }) => gatewayReference ?? []);
    failed = { count, references };
    return references;
  }

  return async function readFacts(): Promise<Facts> {
    const [now, sweeps] = await Promise.all([overview(), reconciliation().catch(() => undefined)]);
    return {
      nowMs: Date.now(),
      overview: now,
      reconciliation: sweeps,
      isRedisUp: isRedisUp(),
      reconcileEveryMs: config.RECONCILE_EVERY,
      failedReferences: await failedReferences(now.jobs?.failed ?? 0).catch(() => []),
    };
  };
}
