// The metrics of the contract, defined in one place with bounded labels.
//
// Counters and histograms describe this process. Gauges of the queue are read from Redis at each scrape, so every
// process reports the same value: use `max without (instance)`.
import { amountChecks } from '../callback/amount-check.ts';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { packageVersion } from './package-version.ts';

export type Metrics = ReturnType<typeof createMetrics>;

export const callbackOutcomes = [
  'accepted',
  'duplicate',
  'conflict',
  'ignored',
  'spooled',
  'quarantined',
  'unauthorized',
  'limited',
  'rejected',
  'unavailable',
] as const;
export type CallbackOutcome = (typeof callbackOutcomes)[number];

export const deliveryOutcomes = ['delivered', 'retried', 'failed'] as const;
export const notificationOutcomes = ['sent', 'retried', 'given_up'] as const;

export const confirmationOutcomes = ['confirmed', 'denied', 'differs', 'unavailable'] as const;

const fast = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const slow = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 60, 600, 3_600, 86_400];

function metricFactories(registry: Registry) {
  const registers = [registry];
  const counter = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers });
  const gauge = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  return { counter, histogram, gauge };
}

function reconciliationMetrics({ counter, gauge }: ReturnType<typeof metricFactories>) {
  return {
    reconciliationUnreadable: counter(
      'payalo_reconciliation_unreadable_total',
      'Records of the gateway that could not be parsed, counted in every sweep that reads them.',
    ),
    reconciliationLastSuccess: gauge(
      'payalo_reconciliation_last_success_timestamp_seconds',
      'When a sweep last succeeded with no window left to retry.',
    ),
    reconciliationLastRecent: gauge(
      'payalo_reconciliation_last_recent_timestamp_seconds',
      'When a sweep of the last hours last succeeded.',
    ),
    reconciliationLastFull: gauge(
      'payalo_reconciliation_last_full_timestamp_seconds',
      'When a sweep of the whole RECONCILE_LOOKBACK last succeeded.',
    ),
    reconciliationWindowsBehind: gauge(
      'payalo_reconciliation_windows_behind',
      'Windows that failed and will be swept again.',
    ),
  };
}

export function createMetrics() {
  const registry = new Registry();
  const factories = metricFactories(registry);
  const { counter, histogram, gauge } = factories;
  collectDefaultMetrics({ register: registry });

  const callbacks = counter('payalo_callbacks_total', 'Requests to the callback path by outcome.', ['outcome']);
  const deliveries = counter('payalo_deliveries_total', 'Delivery attempts by outcome.', ['outcome']);
  const notifications = counter('payalo_notifications_total', 'Notification attempts by outcome.', ['outcome']);
  const mismatched = 'Callbacks whose amount or currency is not what was ordered.';
  const amountMismatches = counter('payalo_amount_mismatches_total', mismatched, ['kind']);
  const confirmed = 'Callbacks that the gateway was asked to confirm, by its answer.';
  const confirmations = counter('payalo_confirmations_total', confirmed, ['outcome']);
  const buildInfo = gauge('payalo_build_info', 'Always 1; the labels name the versions.', ['version', 'node']);
  // Without a first sample an alert on the rate would miss the first event.
  for (const outcome of callbackOutcomes) callbacks.inc({ outcome }, 0);
  for (const outcome of deliveryOutcomes) deliveries.inc({ outcome }, 0);
  for (const outcome of notificationOutcomes) notifications.inc({ outcome }, 0);
  for (const outcome of confirmationOutcomes) confirmations.inc({ outcome }, 0);
  for (const kind of amountChecks.filter((check) => check !== 'match')) amountMismatches.inc({ kind }, 0);
  buildInfo.set({ version: packageVersion(), node: process.version }, 1);

  return {
    registry,
    callbacks,
    deliveries,
    ackSeconds: histogram('payalo_ack_seconds', 'Time from the last byte of a callback to its answer.', fast),
    deliverySeconds: histogram('payalo_delivery_seconds', 'Duration of one delivery attempt.', slow),
    endToEndSeconds: histogram('payalo_end_to_end_seconds', 'Time from receipt to delivery.', slow),
    queueJobs: gauge('payalo_queue_jobs', 'Jobs by state, all brands (from Redis).', ['state']),
    oldestWaitingSeconds: gauge(
      'payalo_oldest_waiting_seconds',
      'Age of the oldest job that waits in the queue (from Redis).',
    ),
    oldestUndeliveredSeconds: gauge(
      'payalo_oldest_undelivered_seconds',
      'Age of the oldest callback that waits, is retried or held, all brands (from Redis).',
    ),
    spoolEntries: gauge('payalo_spool_entries', 'Callbacks in the spool of this process.'),
    spoolDamaged: gauge('payalo_spool_damaged', 'Damaged subfolders of the spool that were set aside.'),
    spoolBytes: gauge('payalo_spool_bytes', 'Bytes in the spool of this process.'),
    redisUp: gauge('payalo_redis_up', '1 while Redis takes callbacks from this process, else 0.'),
    redisMemoryFullSeconds: gauge(
      'payalo_redis_memory_full_seconds',
      'Time until maxmemory is reached, at the last hour’s rate.',
    ),
    reconciliationMissing: counter(
      'payalo_reconciliation_missing_total',
      'Missing callbacks that reconciliation found.',
    ),
    confirmations,
    unconfirmed: gauge('payalo_unconfirmed', 'Callbacks that the gateway has not confirmed or denied yet.'),
    ...reconciliationMetrics(factories),
    breakerOpen: gauge('payalo_breaker_open', '1 while deliveries of a brand are held back.', ['brand']),
    gatewayAuthOk: gauge('payalo_gateway_auth_ok', '1 while the gateway accepts a key of the brand.', ['brand']),
    pendingOverdue: gauge('payalo_pending_overdue', 'Transactions pending at the gateway for over an hour.'),
    amountMismatches,
    logLinesDropped: counter('payalo_log_lines_dropped_total', 'Log lines dropped while nobody read them.'),
    notifications,
    quarantineEntries: gauge('payalo_quarantine_entries', 'Entries in quarantine, all brands (from Redis).'),
  };
}
