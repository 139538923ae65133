// Every page of the console with everything that it can show, rendered from fixed views without a server. The tests of the
// style sheet and of the pages in a browser use them.
import { activityPage } from '../../src/ops/console/activity-page.ts';
import { callbackPage } from '../../src/ops/console/callback-page.ts';
import { callbacksPage } from '../../src/ops/console/callbacks-page.ts';
import type { Content } from '../../src/ops/console/html.ts';
import { layout, type Page } from '../../src/ops/console/layout.ts';
import { overviewPage } from '../../src/ops/console/overview-page.ts';
import { quarantineEntryPage, quarantinePage } from '../../src/ops/console/quarantine-page.ts';
import { reconciliationPage } from '../../src/ops/console/reconciliation-page.ts';
import { reportPage } from '../../src/ops/console/report-page.ts';
import { messagePage, unknownPage } from '../../src/ops/console/message-pages.ts';
import type { Overview } from '../../src/ops/overview.ts';
import { callbackStates, type CallbackState, type CallbackView } from '../../src/store/callbacks/callback-view.ts';

export const nowMs = Date.parse('2026-11-26T12:00:00.000Z');
export const ago = (ms: number): string => new Date(nowMs - ms).toISOString();

const everything = { name: 'amina', address: '127.0.0.1', mayChange: true, mayReveal: true };
const support = { ...everything, name: 'sam', mayChange: false, mayReveal: false };

export function callbackView(fields: Partial<CallbackView> = {}): CallbackView {
  return {
    brand: 'default',
    gatewayReference: 'b2p1',
    merchantReference: 'order-1',
    status: 'success',
    type: 'payin',
    amount: { value: '100.0', currency: 'KES' },
    state: 'delivered',
    receivedAt: ago(10_000),
    deliveredAt: ago(9_000),
    nextAttemptAt: null,
    failedReason: null,
    heldReason: null,
    confirmed: 'yes',
    amountCheck: null,
    source: 'callback',
    sequence: 0,
    duplicates: 0,
    webhookId: 'id',
    requestId: 'request',
    jobId: 'job',
    erased: false,
    attempts: [],
    conflicts: [],
    body: '{ "gatewayReference": "b2p1", "finalAmount": { "value": 100.0, "currency": "KES" }, "errorCode": null }',
    ...fields,
  };
}

export function forwardingOf(fields: Partial<NonNullable<Overview['forwarding']>[number]> = {}) {
  return {
    brand: 'default',
    paused: false,
    breaker: 'closed',
    openSince: null,
    undelivered: 0,
    oldestUndelivered: null,
    lastDelivered: ago(1_000),
    ...fields,
  } as const;
}

export const calmJobs = { queued: 0, delivering: 0, retrying: 0, delivered: 5, failed: 0, held: 0, removed: 0 };

export const allIsWell: Overview = {
  redis: { up: true, usedBytes: 1_000, maxBytes: null },
  jobs: calmJobs,
  oldestWaitingSeconds: 0,
  oldestUndeliveredSeconds: 0,
  notices: [],
  quarantineEntries: 0,
  unconfirmed: 0,
  denied: 0,
  mismatched: 0,
  spool: { entries: 0, bytes: 0, bytesMax: 1_000 },
  forwarding: [forwardingOf()],
  reconciliation: null,
};

const troubled: Overview = {
  ...allIsWell,
  jobs: { ...calmJobs, queued: 12, retrying: 3, failed: 2, held: 1, removed: 1 },
  notices: ['FORWARD_URL has the port of this service'],
  quarantineEntries: 4,
  denied: 1,
  mismatched: 2,
  forwarding: [forwardingOf({ undelivered: 7, oldestUndelivered: ago(7_200_000), lastDelivered: ago(9_000_000) })],
  reconciliation: { lastSuccess: ago(60_000), pendingTooLong: 2, openExpectations: 3, foundLastHour: 0 },
};

const minutes = Array.from({ length: 60 }, (_, minute) => minute);
const rates = {
  minutes,
  counts: {
    received: minutes.map((minute) => (minute * 7) % 23),
    delivered: minutes.map((minute) => (minute * 5) % 19),
    retried: minutes.map((minute) => (minute % 20 === 0 ? 4 : 0)),
    failed: minutes.map((minute) => (minute % 30 === 0 ? 2 : 0)),
  },
  waiting: minutes.map((minute) => (minute % 15) + 1),
};

const rows = callbackStates.map((state, at) =>
  callbackView({
    state,
    gatewayReference: `b2p01j3abcdef000000000000000000${at}`,
    merchantReference: at === 4 ? null : `order-${1000 + at}`,
    receivedAt: ago(60_000 * (at + 1) ** 3),
    nextAttemptAt: state === 'retrying' ? ago(-120_000) : null,
    failedReason: state === 'failed' ? 'HTTP 500, the last of 11 attempts' : null,
    confirmed: at === 1 ? 'denied' : 'yes',
    amount: at === 7 ? null : { value: `${150 + 7 * at}.00`, currency: 'KES' },
  }),
);

const answers = { status: 500, ms: 240, answer: '<h1>Internal Server Error</h1>' };
const attempts = [
  { attempt: 1, at: ago(8_000), error: 'ECONNREFUSED', ms: 4 },
  { attempt: 2, at: ago(6_000), ...answers },
];
const conflict = {
  quarantineId: 'q1a2b3c4',
  status: 'failed',
  amount: '7.5KES',
  receivedAt: ago(5_000),
  body: '{ "status": "failed" }',
};
const details: Partial<CallbackView> = { sequence: 1, duplicates: 2, conflicts: [conflict], amountCheck: 'short' };

function callback(fields: Partial<CallbackView>, asker = everything): Content {
  const finding = { callback: callbackView(fields), corrected: [], others: [] };
  return callbackPage({ finding, elsewhere: [], nowMs, asker });
}

function callbackIn(state: CallbackState): Content {
  const nextAttemptAt = state === 'retrying' ? ago(-60_000) : null;
  const heldReason = state === 'held' ? 'denied: the gateway does not know it' : null;
  return callback({ state, nextAttemptAt, heldReason, confirmed: state === 'held' ? 'denied' : 'yes', attempts });
}

const entry = {
  id: 'q1a2b3c4',
  brand: 'default',
  reason: 'bad-reference',
  detail: 'gatewayReference is missing.',
  receivedAt: ago(600_000),
  gatewayReference: null,
  requestId: 'request-1',
  bytes: 1_234,
  headers: { 'content-type': 'application/json', 'user-agent': 'gateway/2' },
  body: Buffer.from('{"status":"success"}'),
} as const;

const counts = { known: 40, pending: 0, early: 0, other: 0, reversed: 0, missing: 1, injected: 1, corrections: 0 };
const sweep = {
  brand: 'default',
  kind: 'recent',
  from: ago(7_200_000),
  to: ago(3_600_000),
  startedAt: ago(60_000),
  ms: 412,
  seen: 41,
  ...counts,
  tooOld: 0,
  unconfirmed: 0,
  unreadable: 0,
  errors: 0,
} as const;
const ofBrand = {
  checkpoint: ago(60_000),
  lastSuccess: ago(60_000),
  lastRecent: null,
  lastFull: null,
  windowsBehind: 0,
  pendingTooLong: 0,
  openExpectations: 0,
};
const swept = {
  lastSuccess: ago(60_000),
  pendingTooLong: 2,
  openExpectations: 3,
  sweeps: [sweep, { ...sweep, startedAt: ago(660_000), failure: 'unauthorized' }],
  brands: [
    { brand: 'default', ...ofBrand },
    { brand: 'acme', ...ofBrand, checkpoint: null },
  ],
};

const total = {
  day: '2026-11-26',
  type: 'payin',
  currency: 'KES',
  count: 12,
  succeeded: 10,
  failed: 2,
  pending: 0,
  other: 0,
  gross: '1530.00',
  fees: '15.30',
  net: '1514.70',
  received: 12,
  delivered: 12,
  late: 0,
  corrected: 0,
  mismatched: 0,
};
const period = { from: '2026-11-20', to: '2026-11-26', by: ['day'] } as const;
const report = {
  from: ago(604_800_000),
  to: ago(0),
  data: [total],
  failures: [{ errorCode: 'user_insufficient_funds', count: 2 }],
  denied: 1,
};

const overview = { rates, latest: rows.slice(0, 4), callbackUrl: 'http://127.0.0.1:3000/webhooks/payalo', nowMs };
const list = { filters: {}, rows, next: 'cursor', nowMs, mayChange: true };
const auditEntry = { at: ago(90_000), by: 'amina', address: '127.0.0.1', action: 'callback.replay', target: 'b2p1' };
const withheldEntry = { ...entry, reason: 'conflict', gatewayReference: 'b2p1' } as const;

/** By a name that describes what is special about the page. */
const contents: Readonly<Record<string, Content>> = {
  overview: overviewPage({ ...overview, overview: allIsWell, mayChange: true }),
  'overview, troubled': overviewPage({ ...overview, overview: troubled, mayChange: true }),
  'overview, spooling': overviewPage({
    ...overview,
    overview: { ...allIsWell, spool: { entries: 3, bytes: 900, bytesMax: 1_000 } },
    mayChange: true,
  }),
  'overview, paused': overviewPage({
    ...overview,
    overview: { ...allIsWell, forwarding: [forwardingOf({ paused: true })] },
    mayChange: true,
  }),
  'overview, without Redis': overviewPage({
    ...overview,
    overview: { ...allIsWell, redis: { up: false, usedBytes: null, maxBytes: null }, jobs: null, forwarding: null },
    rates: undefined,
    mayChange: false,
  }),
  'overview, first start': overviewPage({ ...overview, overview: allIsWell, latest: [], mayChange: true }),
  callbacks: callbacksPage(list),
  'callbacks, none': callbacksPage({ ...list, rows: [], next: null, filters: { cursor: 'cursor' } }),
  failed: callbacksPage({
    ...list,
    rows: rows.filter(({ state }) => state === 'failed'),
    filters: { state: 'failed' },
  }),
  'failed, none': callbacksPage({ ...list, rows: [], next: null, filters: { state: 'failed' } }),
  callback: callback({ attempts: [...attempts, { attempt: 3, at: ago(4_000), status: 200, ms: 31 }], ...details }),
  ...Object.fromEntries(callbackStates.map((state) => [`callback, ${state}`, callbackIn(state)])),
  'callback, only remembered': callback({ body: null, webhookId: null, requestId: null, source: null }),
  'callback, for support': callback({ ...details, body: null }, support),
  quarantine: quarantinePage({ entries: [entry, withheldEntry], next: 'cursor', nowMs, mayChange: true }),
  'quarantine, none': quarantinePage({ entries: [], next: null, nowMs, mayChange: true }),
  'quarantine entry': quarantineEntryPage(entry, everything),
  'quarantine entry, for support': quarantineEntryPage(withheldEntry, support),
  reconciliation: reconciliationPage(swept, nowMs),
  'reconciliation, none': reconciliationPage({ ...swept, sweeps: [] }, nowMs),
  report: reportPage({ ...period, report, days: [total] }),
  'report, refused': reportPage({ ...period, refused: 'The gateway of default did not answer (timeout).' }),
  activity: activityPage([
    { ...auditEntry, result: 'replayed' },
    { ...auditEntry, via: 'proxy', result: 'error' },
  ]),
  'activity, none': activityPage([]),
  'unknown reference': unknownPage('b2p-nobody-knows'),
  'not available': messagePage('This cannot be shown now', 'Redis does not answer.'),
};

export function consolePages(): Map<string, string> {
  const frame: Omit<Page, 'content'> = { title: 'A page', tab: 'Callbacks', badges: { Failed: 2, Quarantine: 1_234 } };
  const pages = Object.entries(contents).map(([name, content]) => {
    const asker = name.endsWith('for support') ? support : everything;
    return [name, layout({ ...frame, asker, content })] as const;
  });
  const notices = (['good', 'bad'] as const).map((tone) => {
    const notice = { tone, text: 'What became of it.' };
    return [`notice, ${tone}`, layout({ ...frame, notice, content: activityPage([]) })] as const;
  });
  return new Map([...pages, ...notices]);
}
