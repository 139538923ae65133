// Builds the notifications of one process.
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
  /** NOTIFY_URL. */
  readonly url: NonNullable<Config['NOTIFY_URL']>;
  readonly redis: RedisConnection;
  /** Holds the state that all processes share. */
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
  const { config, url, redis, queue, metrics, log, lookup } = deps;
  const poster = createPoster({ url, secrets: config.NOTIFY_SECRET, proxies: config, lookup });
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

type Selection = keyof Facts['references'];

const queryOf = {
  failed: { state: 'failed' },
  held: { state: 'held' },
  denied: { confirmed: 'denied' },
  mismatched: { amountCheck: 'mismatch' },
} as const satisfies Record<Selection, object>;

function createReadFacts({ config, overview, reconciliation, callbackIndex, isRedisUp }: NotificationsDeps) {
  const known = new Map<Selection, { readonly count: number; readonly references: readonly string[] }>();

  /** Read again only if their number changed. */
  async function referencesOf(selection: Selection, count = 0): Promise<readonly string[]> {
    const before = known.get(selection) ?? { count: 0, references: [] };
    if (count === before.count) return before.references;
    try {
      const { data } = await callbackIndex.list({ ...queryOf[selection], limit: referencesMax });
      const references = data.flatMap(({ gatewayReference }) => gatewayReference ?? []);
      known.set(selection, { count, references });
      return references;
    } catch {
      return []; // the notification is sent without them
    }
  }

  return async function readFacts(): Promise<Facts> {
    const [now, sweeps] = await Promise.all([overview(), reconciliation().catch(() => undefined)]);
    return {
      nowMs: Date.now(),
      overview: now,
      reconciliation: sweeps,
      isRedisUp: isRedisUp(),
      reconcileEveryMs: config.RECONCILE_EVERY,
      references: {
        failed: await referencesOf('failed', now.jobs?.failed),
        held: await referencesOf('held', now.jobs?.held),
        denied: await referencesOf('denied', now.denied ?? 0),
        mismatched: await referencesOf('mismatched', now.mismatched ?? 0),
      },
    };
  };
}
