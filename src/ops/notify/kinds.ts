// The table of notification kinds: how each is read, when it begins and ends, its severity, and its texts.
//
// Reads only what the console's first page and the gauges show (overview.ts, reconciliation-overview.ts), so that
// notifications never disagree with them. Pure.
import { hostname } from 'node:os';
import type { Overview } from '../overview.ts';
import type { ReconciliationOverview } from '../reconciliation-overview.ts';
import type { NotificationBody } from './notification.ts';

export interface Facts {
  readonly nowMs: number;
  readonly overview: Overview;
  /** Undefined while Redis cannot be read. */
  readonly reconciliation: ReconciliationOverview | undefined;
  /** Whether Redis accepted the last callback of this process. */
  readonly isRedisUp: boolean;
  readonly reconcileEveryMs: number;
  /** The latest of each, at most ten. */
  readonly references: Readonly<Record<'failed' | 'held' | 'denied' | 'mismatched', readonly string[]>>;
}

export interface Reading {
  /** If each brand has its own state. */
  readonly brand?: string;
  /** Undefined: unknown now, so nothing begins and nothing ends. */
  readonly holds: boolean | undefined;
  readonly sinceMs?: number | undefined;
  readonly count?: number;
  readonly references?: readonly string[];
  /** While the condition holds; without personal data. */
  readonly text: string;
  readonly overText: string;
}

export interface Kind {
  readonly type: string;
  readonly severity: NotificationBody['severity'];
  /** Known only to this process (its own spool, its own connection to Redis): it notifies independently of others. */
  readonly isOwn?: true;
  /** How long the condition must hold, or be over, before the notification. After a recent end it must be over for longer. */
  readonly beginAfterMs: number;
  readonly endAfterMs: number;
  /** A growing count is notified again, once an hour. */
  readonly grows?: true;
  read(facts: Facts): readonly Reading[];
}

const hourMs = 3_600_000;
const filling = 0.5;
const failuresInARow = 2;
/** Missing sweeps are noticed after this many intervals and a margin. */
const intervalsMissed = 3;
const missedMarginMs = 600_000;

export const kinds: readonly Kind[] = [
  {
    type: 'redis.down',
    severity: 'critical',
    isOwn: true,
    beginAfterMs: 10_000, // a single burst that was too fast for Redis is over by then
    endAfterMs: 5_000,
    read: ({ overview, isRedisUp }) => [
      {
        holds: !overview.redis.up || !isRedisUp,
        text: 'Redis is down: callbacks go to the spool on the disk, and nothing is delivered.',
        overText: 'Redis is back: spooled callbacks follow automatically.',
      },
    ],
  },
  {
    type: 'spool.filling',
    severity: 'critical',
    isOwn: true,
    beginAfterMs: 0,
    endAfterMs: 10_000,
    read: ({ overview: { spool } }) => [
      {
        holds: spool.bytes > spool.bytesMax * filling,
        count: spool.entries,
        text: `The spool of ${hostname()} is more than half full, with ${callbacks(spool.entries)} in it: when it is full, callbacks are refused and lost.`,
        overText: `The spool of ${hostname()} has room again.`,
      },
    ],
  },
  {
    type: 'merchant.down',
    severity: 'critical',
    beginAfterMs: 0, // the breaker itself waits for several failures
    endAfterMs: 10_000,
    read: ({ overview: { forwarding } }) =>
      (forwarding ?? []).map(({ brand, breaker, openSince, undelivered }) => ({
        brand,
        holds: breaker !== 'closed',
        sinceMs: openSince === null ? undefined : Date.parse(openSince),
        count: undelivered,
        text: `The endpoint of ${brand} does not answer: ${undelivered === 1 ? '1 callback waits' : `${undelivered} callbacks wait`}, and nothing is lost.`,
        overText: `The endpoint of ${brand} answers again: what waited is being delivered.`,
      })),
  },
  counted({
    type: 'callbacks.failed',
    severity: 'warning',
    countIn: ({ overview: { jobs } }) => jobs?.failed,
    referencesIn: ({ references }) => references.failed,
    text: (number) => `${callbacks(number)} could not be delivered and used up the retries: look why, then replay.`,
    overText: 'No failed callback is left.',
  }),
  counted({
    type: 'callbacks.held',
    severity: 'warning',
    countIn: ({ overview: { jobs } }) => jobs?.held,
    referencesIn: ({ references }) => references.held,
    text: (number) =>
      `${count(number, 'callback is', 'callbacks are')} held, because the gateway does not know the transaction or another amount was ordered: look at each, then deliver or erase it.`,
    overText: 'No callback is held any more.',
  }),
  counted({
    type: 'callbacks.denied',
    severity: 'critical',
    countIn: ({ overview: { denied } }) => denied,
    referencesIn: ({ references }) => references.denied,
    text: (number) =>
      `${count(number, 'callback was', 'callbacks were')} delivered that the gateway does not know: take back what was given for them, and change the API key.`,
    overText: 'No callback of the last day is denied any more.',
  }),
  counted({
    type: 'callbacks.mismatched',
    severity: 'warning',
    countIn: ({ overview: { mismatched } }) => mismatched,
    referencesIn: ({ references }) => references.mismatched,
    text: (number) =>
      `${count(number, 'callback of the last day says', 'callbacks of the last day say')} another amount or currency than was ordered.`,
    overText: 'No callback of the last day says another amount than was ordered.',
  }),
  {
    type: 'callbacks.undelivered',
    severity: 'warning',
    beginAfterMs: 0,
    endAfterMs: 10_000,
    read: ({ overview: { forwarding }, nowMs }) =>
      (forwarding ?? []).map(({ brand, oldestUndelivered, undelivered }) => ({
        brand,
        holds: oldestUndelivered !== null && nowMs - Date.parse(oldestUndelivered) > hourMs,
        sinceMs: oldestUndelivered === null ? undefined : Date.parse(oldestUndelivered),
        count: undelivered,
        text: `The oldest of ${callbacks(undelivered)} of ${brand} has not been delivered for over an hour.`,
        overText: `No callback of ${brand} has waited for over an hour any more.`,
      })),
  },
  {
    type: 'gateway.key_refused',
    severity: 'critical',
    beginAfterMs: 0,
    endAfterMs: 0,
    read: (facts) =>
      sweepsByBrand(facts).map(({ brand, sweeps: [latest] }) => ({
        brand,
        holds: latest === undefined ? undefined : isKeyRefused(latest),
        sinceMs: latest === undefined ? undefined : Date.parse(latest.startedAt),
        text: `The gateway refuses every key of ${brand}: callbacks that do not come are not found until there is a good one.`,
        overText: `The gateway accepts a key of ${brand} again.`,
      })),
  },
  {
    type: 'reconciliation.failing',
    severity: 'warning',
    beginAfterMs: 0,
    endAfterMs: 0,
    read: (facts) =>
      sweepsByBrand(facts).map(({ brand, sweeps, lastSuccess }) => {
        const inARow = sweeps.slice(0, failuresInARow);
        const failed = inARow.length === failuresInARow && inARow.every(({ failure }) => failure !== undefined);
        const lateMs = facts.reconcileEveryMs * intervalsMissed + missedMarginMs;
        const isLate = lastSuccess !== null && facts.nowMs - Date.parse(lastSuccess) > lateMs;
        const [latest] = sweeps;
        return {
          brand,
          // A refused key has its own notification.
          holds: latest === undefined ? undefined : (failed || isLate) && !isKeyRefused(latest),
          sinceMs: lastSuccess === null ? undefined : Date.parse(lastSuccess),
          text: `Sweeps of ${brand} fail or do not run: callbacks that do not come are not found meanwhile.`,
          overText: `Sweeps of ${brand} end well again.`,
        };
      }),
  },
  counted({
    type: 'callbacks.missing',
    severity: 'warning',
    endAfterMs: 0,
    countIn: ({ overview: { reconciliation } }) => reconciliation?.foundLastHour,
    text: (number) =>
      `${callbacks(number)} never came and had to be fetched from the gateway in the last hour: can the gateway reach us?`,
    overText: 'No callback has been missing for an hour.',
  }),
  counted({
    type: 'pending.overdue',
    severity: 'warning',
    countIn: ({ overview: { reconciliation } }) => reconciliation?.pendingTooLong,
    text: (number) =>
      `${count(number, 'transaction has', 'transactions have')} been pending at the gateway for over an hour: ask its support.`,
    overText: 'No transaction has been pending for over an hour any more.',
  }),
  counted({
    type: 'quarantine.new',
    severity: 'warning',
    countIn: ({ overview: { quarantineEntries } }) => quarantineEntries,
    text: (number) =>
      `${count(number, 'request is', 'requests are')} in quarantine: look at each, then release or delete it.`,
    overText: 'The quarantine is empty again.',
  }),
];

interface Counted extends Pick<Kind, 'type' | 'severity'> {
  readonly endAfterMs?: number;
  /** Undefined or null if unknown now. */
  readonly countIn: (facts: Facts) => number | null | undefined;
  readonly referencesIn?: (facts: Facts) => readonly string[];
  readonly text: (number: number) => string;
  readonly overText: string;
}

/** Holds while there are any, and is notified again when there are more. */
function counted({ type, severity, endAfterMs = 10_000, countIn, referencesIn, text, overText }: Counted): Kind {
  return {
    type,
    severity,
    beginAfterMs: 0,
    endAfterMs,
    grows: true,
    read(facts) {
      const known = countIn(facts);
      const number = known ?? 0;
      const holds = typeof known === 'number' ? known > 0 : undefined;
      return [{ holds, count: number, references: referencesIn?.(facts) ?? [], text: text(number), overText }];
    },
  };
}

interface BrandSweeps {
  readonly brand: string;
  readonly lastSuccess: string | null;
  /** Newest first. */
  readonly sweeps: ReconciliationOverview['sweeps'];
}

function sweepsByBrand({ reconciliation }: Facts): BrandSweeps[] {
  return (reconciliation?.brands ?? []).map(({ brand, lastSuccess }) => ({
    brand,
    lastSuccess,
    sweeps: reconciliation?.sweeps.filter((sweep) => sweep.brand === brand) ?? [],
  }));
}

function isKeyRefused({ failure }: { readonly failure?: string | undefined }): boolean {
  return failure === 'unauthorized';
}

function callbacks(number: number): string {
  return count(number, 'callback', 'callbacks');
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
