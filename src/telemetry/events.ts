// Every log event: its name, what it means, and its fields. The compiler refuses a name that does not stand here, a
// field that its event does not have, and one that is left out; docs/reference/events.md is generated from this file
// (test/telemetry/events.test.ts).
//
// A name is `subject.what_happened`. Names and fields are what people search and alert on: add to them, and change none.

import type {
  Answered,
  Attempt,
  Brand,
  Connection,
  Failure,
  Folder,
  Job,
  Judged,
  LookUp,
  Period,
  Reference,
  Replay,
  Request,
  SpoolFill,
  Counts,
} from './event-fields.ts';

export interface LogEvents {
  /** PAYALO_API_KEYS_FILE was read again; its new keys are accepted. */
  'api_keys.changed': { file: string; brands: readonly { brand: string; keys: number }[] };
  /** PAYALO_API_KEYS_FILE changed but cannot be used; the former keys stay. */
  'api_keys.kept': { file: string; problems: readonly string[] };
  /** The keys file names a brand that is delivered only after a restart. */
  'api_keys.new_brand': { brands: readonly string[]; hint: string };
  /** An entry of the audit trail is only in the log, because Redis could not store it. */
  'audit.not_kept': { action: string; target: string } & Failure;
  /** Redis holds callbacks of a brand that this process does not serve. */
  'brands.not_configured': Brand | { problem: string };
  /** Redis could not tell which brands it holds; the question is repeated. */
  'brands.unknown': Failure;
  /** Deliveries to the merchant run at full speed again. */
  'breaker.closed': Brand;
  /** The merchant does not answer: deliveries are held back, and one probe at a time is sent. */
  'breaker.opened': Brand;
  /** A probe succeeded; deliveries resume at a growing rate. */
  'breaker.recovering': Brand;
  /** Redis could not tell the state of the breaker; attempts count meanwhile. */
  'breaker.unknown': Brand & Failure;
  /** A callback was stored for the first time and answered 200. */
  'callback.accepted': Answered;
  /** A callback contradicts an earlier one with the same reference; its body is kept. */
  'callback.conflict': Answered;
  /** A callback came again and was recognized. */
  'callback.duplicate': Answered;
  /** Processing a callback threw an error that nobody expected; the answer was 503. */
  'callback.failed': Request & Failure;
  /** A callback with the status `pending` was answered and not forwarded. */
  'callback.ignored': Answered;
  /** A request with a genuine key was refused, and its body is kept in quarantine. */
  'callback.quarantined': Request & Brand & { reason: string; bytes: number; kept: boolean; ms: number };
  /** A request with a genuine key was refused before its body was complete. */
  'callback.rejected': Request & { reason: string };
  /** Redis could not store a callback in time; the spool did, and it was answered 200. */
  'callback.spooled': Answered;
  /** A request without an accepted key was answered 401. */
  'callback.unauthorized': Request & { address: string };
  /** Neither Redis nor the spool could store a callback: answered 503. */
  'callback.unavailable': Answered & { reason: string };
  /** The claims of kept callbacks could not be prolonged; this is retried. */
  'claims.not_kept': Failure;
  /** The gateway does not know what a callback reports; with CONFIRM=before the callback is held. */
  'confirmation.denied': Judged & { held: boolean };
  /** The gateway and a callback report different results; the callback is corrected, or can no longer be judged. */
  'confirmation.differs': Judged;
  /** The gateway confirmed a callback after all; it is delivered. */
  'confirmation.released': Judged;
  /** What other workers delivered could not be read from BullMQ’s events; this is retried. */
  'deliveries.not_followed': Failure;
  /** A delivery attempt ended: delivered, retried, failed, or held by the breaker. */
  'delivery.attempted': Attempt;
  /** An internal error prevented an attempt or the recording of its result; the job is tried again. */
  'delivery.broken': Job & Failure;
  /** FORWARD_CONCURRENCY is below the number of brands; each brand gets one slot. */
  'delivery.concurrency_raised': { configured: number; to: number };
  /** The content of a job was removed from Redis while it waited; reconciliation fetches it again. */
  'delivery.content_missing': Job;
  /** FORWARD_HEADERS_FILE names headers that belong to the connection; they are not sent. */
  'delivery.headers_left_out': Brand & { headers: readonly string[] };
  /** The record of deliveries could not be written; it is written with the next. */
  'delivery.not_recorded': Brand & Failure;
  /** A job that a later release queued waits until that release runs again; this release checks every minute. */
  'delivery.of_later_version': Job;
  /** A worker lost a job, most likely because it was killed; another one takes it. */
  'delivery.stalled': Job;
  /** BullMQ’s worker reported an error; it goes on. */
  'delivery.worker_error': Brand & { code?: unknown; reason: string };
  /** A check at the start found a setting that weakens a promise, and says how to fix it. */
  'doctor.finding': { check: string; status: string; detail: string; fix?: string };
  /** The checks at the start found nothing. */
  'doctor.well': { checks: number };
  /** The gateway accepts the key of a brand again. */
  'gateway.authorized': Brand;
  /** The gateway refuses the key of a brand; reconciliation cannot ask it. */
  'gateway.unauthorized': Brand & { hint: string };
  /** The gateway could not be asked at the start. */
  'gateway.unavailable': Brand & { reason: string };
  /** A process that runs HANDLER_MODULE ended by itself; it costs the attempt, and a new one starts. */
  'handler.process_ended': { error: string };
  /** Too few replicas confirmed, and the spool is over half full or cannot take a copy: acknowledged anyway. */
  'intake.confirmation_waived': { reason: string };
  /** A spooled correction was dropped because a later one has replaced what it corrects. */
  'intake.correction_overtaken': Reference & { status: string | null };
  /** Redis stores callbacks again. */
  'intake.redis_back': {};
  /** Redis answers fast enough again. */
  'intake.redis_keeps_up': { callMs: number; turnedAway: number };
  /** Redis failed several times in a row; callbacks go to the spool without asking it. */
  'intake.redis_out': { reason: string };
  /** Redis answers too slowly; callbacks that would wait too long go to the spool. */
  'intake.redis_slow': { callMs: number };
  /** The accept script failed on a batch; the batch is halved to find the callback at fault. */
  'intake.refused': { callbacks: number; reason: string };
  /** A listener accepts connections. */
  'listener.started': { listener: 'public' | 'operator'; host: string; port: number };
  /** Log lines were dropped because nobody read the output. */
  'log.lines_dropped': { stream: 'stdout' | 'stderr'; count: number };
  /** The process that resolves names ended; a new one starts. */
  'lookups.process_ended': { reason: string; lookedUpHere: boolean };
  /** The gauges of the queue are absent, because Redis could not be read. */
  'metrics.queue_unread': Failure;
  /** NOTIFY_URL did not accept a notification for a day; it is dropped. */
  'notification.given_up': { type: string };
  /** NOTIFY_URL did not accept a notification; it is sent again later. */
  'notification.not_sent': { type: string; reason: string; waitMs: number };
  /** NOTIFY_URL accepted a notification. */
  'notification.sent': { type: string; id: string };
  /** Notifications could not be determined or sent, most likely because Redis is down; this is retried. */
  'notifications.waiting': Failure;
  /** An operator changed something; this line is part of the audit trail. */
  'operator.action': {
    at: string;
    by: string;
    via?: string | undefined;
    address: string;
    action: string;
    target: string;
    result: string;
  };
  /** A request to the operator listener failed. */
  'operator.error': { method: string; route?: string | undefined } & Failure;
  /** A token may not do what it asked for. */
  'operator.forbidden': { address: string; reason: string };
  /** A bulk replay ended early because its process stopped. */
  'operator.replay_cut_short': Replay & { err?: unknown };
  /** A bulk replay ended. */
  'operator.replayed': Replay;
  /** A request to the operator listener had no valid token. */
  'operator.unauthorized': { address: string };
  /** Node.js or a library issued a warning. */
  'process.warning': { name: string; code?: unknown; reason: string };
  /** The oldest quarantined requests were dropped to stay within the limits. */
  'quarantine.dropped': Brand & { dropped: number; maxBytes: number; retainMs: number };
  /** A refused request could be kept neither in Redis nor in the spool. */
  'quarantine.lost': Request & Brand & { reason: string; spool: string };
  /** An operator released a quarantined request into the queue. */
  'quarantine.released': Brand & { id: string; kind: string };
  /** Jobs that lay in none of the queue’s places, perhaps after a power failure, were put back. */
  'queue.stranded_jobs_requeued': Brand & { jobs: number };
  /** Looking for jobs that lie in none of the queue’s places failed; this is retried. */
  'queue.stranded_look_failed': Failure;
  /** The counts for the console’s charts could not be written; this is retried. */
  'rates.not_flushed': Failure;
  /** Reconciliation was off for longer than it may catch up by itself; run it by hand. */
  'reconcile.away_too_long': Brand & Period & { hint: string };
  /** A stored time lies in the future, so a clock was wrong; it is corrected. */
  'reconcile.clock_was_ahead': Brand & { checkpoint: string };
  /** The gateway was asked about a conflict; the field `decision` names the result. */
  'reconcile.conflict_verified': LookUp & { decision: string };
  /** The gateway knows an expected transaction under another reference. */
  'reconcile.expectation_renamed': LookUp & { known: string };
  /** The gateway does not know an expected transaction; the question is repeated for a day. */
  'reconcile.expectation_unknown': LookUp & { givenUp: boolean };
  /** The first sweep counts what it would deliver, before it delivers anything. */
  'reconcile.first_sweep': Brand &
    Period & { seen: number; aboutToDeliver: number; tooOld: number; failedWindows: number };
  /** A result that reconciliation found was injected through intake. */
  'reconcile.injected': LookUp & {
    status: string | null;
    source: string;
    wasRemoved?: true;
    outcome: string;
    reason?: string;
  };
  /** Reconciliation of a brand failed for a moment; it resumes where it stopped. */
  'reconcile.interrupted': Brand & { kind?: string; code?: string; reason?: string; err?: unknown };
  /** The status call contradicts the gateway’s list; nothing is delivered because of the list alone. */
  'reconcile.list_contradicted': LookUp & { listed: string | null; asked: string | null };
  /** A look-up threw an error that nobody expected; it is postponed. */
  'reconcile.look_up_broke': Brand & Request & { kind: string } & Failure;
  /** The gateway did not answer a look-up; it is postponed. */
  'reconcile.look_up_failed': LookUp & { reason: string; givenUp?: boolean };
  /** A brand has no gateway to ask, or no key, and is not reconciled. */
  'reconcile.off': Brand & { reason: string };
  /** A transaction stayed pending until it was too old to watch. */
  'reconcile.pending_given_up': LookUp;
  /** Settling one record of the gateway’s list failed; it is tried again. */
  'reconcile.record_failed': LookUp & Failure;
  /** A record of the gateway’s list cannot be read; it is skipped and counted. */
  'reconcile.record_unreadable': Brand &
    Request & { gatewayReference?: string; problem?: string; from?: string; to?: string };
  /** The status call for a missing result had no answer; it is tried again. */
  'reconcile.status_unanswered': LookUp & { listed: string | null; reason: string; listBelieved: boolean };
  /** A sweep ended; its counts follow. */
  'reconcile.swept': Brand &
    Request &
    Period &
    Counts & { kind: string; startedAt: string; ms: number; failure?: string | undefined };
  /** The gateway’s list does not name callbacks that came in a window; it is asked about each. */
  'reconcile.unlisted': Brand & Period & { callbacks: number };
  /** More transactions are unfinished than can be watched. */
  'reconcile.watch_full': Brand & { left: number };
  /** A window that had failed was swept again. */
  'reconcile.window_again': Brand & Request & Period & Counts & { failure: string | undefined };
  /** Sweeping a window threw an error that nobody expected; it is set aside and swept again. */
  'reconcile.window_broke': Brand & Request & Period & Failure;
  /** Windows that failed are too old to be swept again. */
  'reconcile.windows_given_up': Brand & { windows: number };
  /** A connection to Redis is ready for the first time. */
  'redis.connected': Connection;
  /** A connection to Redis is lost. */
  'redis.down': Connection & { code?: unknown; reason: string };
  /** The Redis user lacks a permission; the line says which, and what to grant. */
  'redis.not_permitted': Connection & { reason: string; fix: string };
  /** A connection to Redis is back. */
  'redis.up': Connection;
  /** Removing old jobs failed; this is retried. */
  'retention.failed': Failure;
  /** Finished jobs over RETAIN_COMPLETED_MAX were removed. */
  'retention.surplus_removed': Brand & { completed: number };
  /** Jobs past their retention were removed. */
  'retention.swept': Brand & { completed: number; failed: number; indexEntries: number };
  /** A second signal ended the process without waiting. */
  'service.ended_at_once': { signal: string };
  /** The process ends because of an error that nobody expected. */
  'service.failed': { where: string } & Failure;
  /** Something in the configuration is most likely a mistake. */
  'service.notice': { notice: string };
  /** All roles of the process are running. */
  'service.started': { roles: readonly string[] };
  /** The process was ended because stopping took longer than SHUTDOWN_TIMEOUT. */
  'service.stop_overdue': { timeoutMs: number };
  /** The process has stopped cleanly. */
  'service.stopped': { ms: number };
  /** The process was asked to stop. */
  'service.stopping': { signal: string; timeoutMs: number };
  /** The spool folder of a process that is gone was taken over, to be drained. */
  'spool.adopted': Folder & { entries: number };
  /** A spool file is damaged; what could be read was saved, the rest is kept aside. */
  'spool.damaged': Folder & { keptAs: string; salvaged: number; unreadable: number };
  /** Handing spooled callbacks to Redis failed; this is retried. */
  'spool.drain_failed': { reason: string };
  /** The spool is empty again. */
  'spool.drained': { entries: number };
  /** A spool folder belongs to another deployment and is left alone. */
  'spool.foreign': Folder & { owner: string };
  /** The spool has no room for another callback. */
  'spool.full': SpoolFill & { maxBytes: number };
  /** The process stops with callbacks in its spool; the next process drains them. */
  'spool.left': { entries: number; quarantineEntries: number; bytes: number };
  /** A spool folder could not be taken over; this is retried. */
  'spool.not_adopted': Folder & { code: string };
  /** An empty spool folder could not be deleted. */
  'spool.not_deleted': { code: string };
  /** The spool holds entries of a later version; they stay there for that version. */
  'spool.of_later_version': Folder & { brand?: string; entries?: number };
  /** Quarantined requests in the spool were dropped to stay within the limits. */
  'spool.quarantine_dropped': { dropped: number };
  /** Redis refuses a quarantined request; it stays in the spool. */
  'spool.quarantine_refused': Folder & { id: string };
  /** A spooled entry that Redis refuses, or that cannot be read, was moved to the quarantine. */
  'spool.set_aside': Brand & { nonce: string; reason: string };
  /** The thread that writes the spool ended; a new one starts. */
  'spool.thread_failed': { reason: string };
  /** The thread that writes the spool does not answer, most likely because of the disk. */
  'spool.thread_hung': { waitedMs: number };
  /** The spool cannot be written to. */
  'spool.unusable': { dir: string; code: string | undefined };
  /** The spool can be written to. */
  'spool.usable': SpoolFill;
  /** An `OTEL_*` variable has an unknown value; it is ignored. */
  'traces.ignored': { variable: string; value: string | undefined };
  /** Traces could not be sent to the collector. */
  'traces.not_sent': { problem: string };
}

export type EventName = keyof LogEvents;

/** One log line: its event, and the fields of that event, which are safe by construction. */
export type LogFields = { readonly [Name in EventName]: Readonly<{ event: Name } & LogEvents[Name]> }[EventName];
