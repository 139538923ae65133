// When people are notified: hysteresis, outages, growth; and the sentences of the notifications.
import { expect, test } from 'vitest';
import { kinds, type Facts, type Kind } from '../../../src/ops/notify/kinds.ts';
import { transitionOf, type State } from '../../../src/ops/notify/transitions.ts';
import type { Overview } from '../../../src/ops/overview.ts';

const minuteMs = 60_000;
const start = Date.parse('2026-11-26T12:00:00.000Z');

const overview: Overview = {
  redis: { up: true, usedBytes: 1_000, maxBytes: null },
  jobs: { queued: 0, delivering: 0, retrying: 0, delivered: 5, failed: 0, held: 0, removed: 0 },
  oldestWaitingSeconds: 0,
  oldestUndeliveredSeconds: 0,
  notices: [],
  quarantineEntries: 0,
  unconfirmed: 0,
  denied: 0,
  mismatched: 0,
  spool: { entries: 0, bytes: 0, bytesMax: 1_000 },
  forwarding: [
    {
      brand: 'acme',
      paused: false,
      breaker: 'closed',
      openSince: null,
      undelivered: 0,
      oldestUndelivered: null,
      lastDelivered: null,
    },
  ],
  reconciliation: { lastSuccess: null, pendingTooLong: 0, openExpectations: 0, foundLastHour: 0 },
};

const sweep = { kind: 'recent', from: iso(0), to: iso(0), startedAt: iso(0), ms: 1, brand: 'acme' } as const;
const counts = {
  seen: 0,
  known: 0,
  pending: 0,
  early: 0,
  other: 0,
  reversed: 0,
  missing: 0,
  injected: 0,
  corrections: 0,
  tooOld: 0,
  unconfirmed: 0,
  unreadable: 0,
  errors: 0,
};

function iso(ms: number): string {
  return new Date(start + ms).toISOString();
}

function factsOf(fields: Partial<Overview> = {}, failures: readonly (string | undefined)[] = [undefined]): Facts {
  const brand = {
    brand: 'acme',
    checkpoint: null,
    lastSuccess: null,
    lastRecent: null,
    lastFull: null,
    windowsBehind: 0,
    pendingTooLong: 0,
    openExpectations: 0,
  };
  const sweeps = failures.map((failure) => ({ ...sweep, ...counts, ...(failure !== undefined && { failure }) }));
  return {
    nowMs: start,
    overview: { ...overview, ...fields },
    reconciliation: { lastSuccess: null, pendingTooLong: 0, openExpectations: 0, sweeps, brands: [brand] },
    isRedisUp: true,
    reconcileEveryMs: 600_000,
    references: { failed: ['b2p1'], held: ['b2p2'], denied: ['b2p3'], mismatched: ['b2p4'] },
  };
}

const [acme] = overview.forwarding ?? [];
const merchant = (fields: object) => ({ forwarding: acme === undefined ? [] : [{ ...acme, ...fields }] });
const [jobs, reconciliation] = [overview.jobs, overview.reconciliation];

const cases: readonly (readonly [type: string, facts: Facts])[] = [
  ['redis.down', { ...factsOf(), isRedisUp: false }],
  ['redis.down', factsOf({ redis: { up: false, usedBytes: null, maxBytes: null }, jobs: null })],
  ['spool.filling', factsOf({ spool: { entries: 3, bytes: 501, bytesMax: 1_000 } })],
  ['merchant.down', factsOf(merchant({ breaker: 'open', openSince: iso(0), undelivered: 1 }))],
  ['callbacks.failed', factsOf({ jobs: jobs && { ...jobs, failed: 2 } })],
  ['callbacks.undelivered', factsOf(merchant({ undelivered: 1, oldestUndelivered: iso(-61 * minuteMs) }))],
  ['gateway.key_refused', factsOf({}, ['unauthorized'])],
  ['reconciliation.failing', factsOf({}, ['timeout', 'timeout'])],
  ['callbacks.missing', factsOf({ reconciliation: reconciliation && { ...reconciliation, foundLastHour: 4 } })],
  ['pending.overdue', factsOf({ reconciliation: reconciliation && { ...reconciliation, pendingTooLong: 1 } })],
  ['quarantine.new', factsOf({ quarantineEntries: 1 })],
];

const holding = (facts: Facts) =>
  kinds.filter((kind) => kind.read(facts).some(({ holds }) => holds)).map(({ type }) => type);

test.for(cases)('%s is seen, and nothing else', ([type, facts]) => {
  expect(holding(facts)).toEqual([type]);
});

test('nothing is seen while all is well, and only the outage while Redis is down', () => {
  expect(holding(factsOf())).toEqual([]);
  const away = {
    redis: { up: false, usedBytes: null, maxBytes: null },
    jobs: null,
    forwarding: null,
    quarantineEntries: null,
    reconciliation: null,
  };
  expect(holding({ ...factsOf(away), reconciliation: undefined })).toEqual(['redis.down']);
});

test('one failed sweep is not yet notified', () => {
  expect(holding(factsOf({}, ['timeout', undefined]))).toEqual([]);
});

test.for(cases)('%s is notified in one plain sentence, and so is its end', ([type, facts]) => {
  for (const { text, overText } of kinds.find((kind) => kind.type === type)?.read(facts) ?? []) {
    for (const sentence of [text, overText]) {
      expect(sentence).toMatch(/^[A-Z0-9][^\n<>{}]{10,250}[.?]$/);
      expect(sentence).not.toMatch(/\b1 \w+s\b|undefined|null|NaN/);
    }
  }
});

/** The notifications for a condition that holds or not, second by second. */
function notificationsOf(
  kind: Kind,
  seconds: number,
  holdsAt: (second: number) => boolean,
  countAt: (second: number) => number = () => 1,
): string[] {
  let state: State | undefined;
  let seen: { holds: boolean; sinceMs: number } | undefined;
  const messages: string[] = [];
  for (let second = 0; second < seconds; second += 1) {
    const nowMs = start + second * 1_000;
    const holds = holdsAt(second);
    if (seen?.holds !== holds) seen = { holds, sinceMs: nowMs };
    const reading = { holds, count: countAt(second), text: '', overText: '' };
    const passed = transitionOf(kind, state, reading, seen, nowMs);
    if (passed === undefined) continue;
    state = passed.state;
    messages.push(passed.kind);
  }
  return messages;
}

const kindOf = (type: string): Kind => kinds.find((kind) => kind.type === type) ?? kinds[0] ?? never();
function never(): never {
  throw new Error('no kinds');
}

test.for(kinds.map(({ type }) => type))('an outage of ten minutes gives two messages: %s', (type) => {
  const outage = (second: number) => second >= 60 && second < 660;
  expect(notificationsOf(kindOf(type), 3_600, outage)).toEqual(['begun', 'over']);
});

test.for(['redis.down', 'merchant.down'])('a short interruption of an outage notifies nothing: %s', (type) => {
  expect(notificationsOf(kindOf(type), 1_200, (second) => second >= 60 && second < 660 && second % 100 > 2)).toEqual([
    'begun',
    'over',
  ]);
});

test('a flapping condition is notified a few times an hour', () => {
  const messages = notificationsOf(kindOf('merchant.down'), 3_600, (second) => second % 60 < 30);
  expect(messages.length).toBeLessThanOrEqual(8);
});

test('a lasting condition is notified once, and its growth once an hour', () => {
  const kind = kindOf('callbacks.failed');
  expect(notificationsOf(kind, 4 * 3_600, () => true)).toEqual(['begun']);
  expect(
    notificationsOf(
      kind,
      2 * 3_600 + 10,
      () => true,
      (second) => second,
    ),
  ).toEqual(['begun', 'grown', 'grown']);
});

test('growth is notified although the last notification has a time a year ahead', () => {
  const kind = kindOf('callbacks.failed');
  const ahead = start + 365 * 24 * 60 * minuteMs;
  const state: State = { isOn: true, sinceMs: ahead, toldMs: ahead, count: 1, begunMs: [ahead] };
  const seen = { holds: true, sinceMs: start };
  const passed = transitionOf(kind, state, { holds: true, count: 2, text: '', overText: '' }, seen, start + minuteMs);
  expect(passed).toMatchObject({ kind: 'grown', state: { toldMs: start + minuteMs } });
});
