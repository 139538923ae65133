// Sends waiting notifications, one at a time and in order, from one process; retries for a day, with growing waits.
//
// Notifications that cannot be stored in Redis wait in this process. The wait depends on the notification's age, so no
// counter is needed, and another process continues at the same pace.
import { randomUUID } from 'node:crypto';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Notification } from './notification.ts';
import type { Post } from './post-notification.ts';
import type { SharedNotes } from './shared-notes.ts';

export interface OutboxDeps {
  readonly notes: SharedNotes;
  readonly post: Post;
  readonly metrics: Pick<Metrics, 'notifications'>;
  readonly log: Log;
  readonly now?: () => number;
  readonly waitMinMs?: number;
}

const dayMs = 86_400_000;
const waitMaxMs = 3_600_000;
const waitShare = 0.5;
const localMax = 100;
/** Longer than an attempt takes. */
const lockMs = 30_000;
const perTurnMax = 20;

/** Done: sent, or too old. */
type Handled = { readonly isDone: true } | { readonly isDone: false; readonly waitMs: number };

export function createOutbox({ notes, post, metrics, log, now = Date.now, waitMinMs = 5_000 }: OutboxDeps) {
  const local: Notification[] = [];
  const token = randomUUID();
  let notBeforeMs = 0;

  async function handle(notification: Notification, stop: AbortSignal): Promise<Handled> {
    const { type } = notification.body;
    const ageMs = now() - notification.atMs;
    if (ageMs > dayMs) {
      metrics.notifications.inc({ outcome: 'given_up' });
      log.error({ event: 'notification.given_up', type });
      return { isDone: true };
    }
    const posted = await post(notification, stop);
    if (posted.kind === 'sent') {
      metrics.notifications.inc({ outcome: 'sent' });
      log.info({ event: 'notification.sent', type, id: notification.id });
      return { isDone: true };
    }
    const waitMs = Math.min(Math.max(ageMs * waitShare, waitMinMs), waitMaxMs);
    if (stop.aborted) return { isDone: false, waitMs: 0 }; // the next process continues at once
    metrics.notifications.inc({ outcome: 'retried' });
    log.warn({ event: 'notification.not_sent', type, reason: posted.reason, waitMs });
    return { isDone: false, waitMs };
  }

  async function sendLocal(stop: AbortSignal): Promise<boolean> {
    for (let first = local[0]; first !== undefined && !stop.aborted; first = local[0]) {
      const handled = await handle(first, stop);
      if (!handled.isDone) {
        notBeforeMs = now() + handled.waitMs;
        return false;
      }
      local.shift();
    }
    return true;
  }

  async function sendShared(stop: AbortSignal): Promise<void> {
    for (let turn = 0; turn < perTurnMax && !stop.aborted; turn += 1) {
      if ((await notes.head()) === undefined || (await notes.heldUntilMs()) > now()) return;
      if (!(await notes.lock(token, lockMs))) return;
      try {
        const head = await notes.head(); // read again, since no other process sends now
        if (head === undefined) return;
        const handled = await handle(head.notification, stop);
        if (!handled.isDone) return await notes.hold(now() + handled.waitMs, handled.waitMs);
        await notes.remove(head.text);
      } finally {
        await notes.unlock(token);
      }
    }
  }

  return {
    /** Kept in this process while Redis is down. The oldest ones are dropped first. */
    keep(notification: Notification): void {
      local.push(notification);
      if (local.length > localMax) local.shift();
    },

    /** Rejects if Redis fails. */
    async send(stop: AbortSignal): Promise<void> {
      if (now() < notBeforeMs) return;
      if (await sendLocal(stop)) await sendShared(stop);
    },
  };
}
