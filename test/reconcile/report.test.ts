// The report: exact sums of the gateway's records, next to the state of the callbacks here.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addDecimals, canonicalDecimal } from '../../src/callback/decimal.ts';
import { createReport } from '../../src/reconcile/report.ts';
import type { ReportRow } from '../../src/store/report/report-row.ts';
import { createTotals, type ReportKey } from '../../src/store/report/report-totals.ts';
import { registerExpectedAmount } from '../../src/store/reconciliation/expected-amounts.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { runCli } from '../support/cli.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const signal = new AbortController().signal;

const { server: redis } = await withRedis();

async function read(rig: Rig, by: readonly ReportKey[] = [], fromMs = 2 * hourMs) {
  const report = createReport(rig.dependencies);
  const totals = createTotals(by);
  const rows: ReportRow[] = [];
  let denied = 0;
  for await (const event of report({ fromMs: Date.now() - fromMs, toMs: Date.now() + 1 }, signal)) {
    if (event.kind === 'failed') throw new Error(event.reason);
    if (event.kind === 'rows') rows.push(...event.rows);
    if (event.kind === 'denied') ({ denied } = event);
  }
  for (const row of rows) totals.add(row);
  return { rows, lines: totals.lines(), failures: totals.failures(), denied };
}

const envOf = ({ config }: Rig) => ({
  REDIS_URL: redis.url,
  QUEUE_PREFIX: config.QUEUE_PREFIX,
  GATEWAY_BASE_URL: config.GATEWAY_BASE_URL ?? '',
  GATEWAY_API_KEY: config.GATEWAY_API_KEY ?? '',
});

test('sums are exact, one line for each currency; failures count, and add nothing', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const createdAt = isoAgo(hourMs);
  rig.gateway.addTransactions({ count: 3, createdAt, amount: '0.10', merchantReferencePrefix: 'a' });
  rig.gateway.addTransactions({
    createdAt,
    amount: '9007199254740993.01',
    currency: 'TZS',
    merchantReferencePrefix: 'b',
  });
  rig.gateway.addTransactions({
    createdAt,
    status: 'failed',
    errorCode: 'user_insufficient_funds',
    merchantReferencePrefix: 'c',
  });
  rig.gateway.addTransactions({ createdAt, status: 'pending', merchantReferencePrefix: 'd' });
  const { lines, failures } = await read(rig);
  expect(lines).toMatchObject([
    {
      currency: 'KES',
      count: 5,
      succeeded: 3,
      failed: 1,
      pending: 1,
      gross: '0.3',
      fees: '0',
      net: '0.3',
      received: 0,
    },
    { currency: 'TZS', count: 1, gross: '9007199254740993.01' },
  ]);
  expect(failures).toEqual([{ errorCode: 'user_insufficient_funds', count: 1 }]);
});

test('the state here appears beside it: received, late, corrected; empty if older than the claims', async () => {
  await using rig = await createRig({
    redisUrl: redis.url,
    environment: { DEDUP_TTL: '3h', RECONCILE_LOOKBACK: '2h' },
  });
  const [came, never, corrected] = [70, 60, 50].map((minutes) => {
    const [added] = rig.gateway.addTransactions({ createdAt: isoAgo(minutes * minuteMs) });
    return added?.gatewayReference ?? '';
  });
  for (const reference of [came, corrected]) await rig.receive(rig.gateway.bodyOf(reference ?? ''));
  await rig.gateway.correct(corrected ?? '', { status: 'failed' });
  await sweepWindow(rig.scope, { fromMs: Date.now() - 2 * hourMs, toMs: Date.now() }, sweepMode(), signal);
  rig.gateway.addTransactions({ createdAt: isoAgo(5 * hourMs), merchantReferencePrefix: 'old' });
  const { rows } = await read(rig, [], 6 * hourMs);
  const oursOf = (reference: string | undefined) => rows.find((row) => row.gatewayReference === reference)?.ours;
  expect(oursOf(came)).toMatchObject({ source: 'callback', sequence: 0 });
  expect(oursOf(never)).toMatchObject({ source: 'records' });
  expect(oursOf(corrected)).toMatchObject({ source: 'correction', sequence: 1 });
  expect(rows.map(({ ours }) => ours)).toContain('unknown');
  const [line] = (await read(rig)).lines;
  expect(line).toMatchObject({ received: 3, late: 1, corrected: 1 });
  const [old] = (await read(rig, ['day'], dayMs)).lines;
  expect(old?.count).toBeGreaterThan(0);
});

test('lines by day, method and status add up to the whole, whatever the amounts', () => {
  const amounts = fc.array(
    fc.record({
      value: fc.bigInt({ min: 0n, max: 10n ** 24n }).map((cents) => canonicalDecimal(`${cents}e-4`) ?? '0'),
      currency: fc.constantFrom('KES', 'TZS'),
      method: fc.constantFrom('mpesa-ke', 'airtel'),
    }),
  );
  fc.assert(
    fc.property(amounts, (list) => {
      const [whole, parts] = [createTotals([]), createTotals(['day', 'method', 'status'])];
      for (const { value, currency, method } of list) {
        const row = rowOf({ gross: value, net: value, currency, method });
        whole.add(row);
        parts.add(row);
      }
      for (const currency of ['KES', 'TZS']) {
        const sum = (lines: { currency: string; gross: string }[]) =>
          lines
            .filter((line) => line.currency === currency)
            .reduce((total, { gross }) => addDecimals(total, gross), '0');
        expect(sum(parts.lines())).toBe(sum(whole.lines()));
      }
    }),
  );
});

test('net is minus the fee for incoming money, and plus the fee for outgoing money', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  rig.gateway.addTransactions({ createdAt: isoAgo(hourMs), merchantReferencePrefix: 'in' });
  rig.gateway.addTransactions({ createdAt: isoAgo(hourMs), type: 'payout', merchantReferencePrefix: 'out' });
  expect((await read(rig)).lines).toMatchObject([
    { type: 'payin', gross: '100', fees: '2', net: '98' },
    { type: 'payout', gross: '100', fees: '2', net: '102' },
  ]);
});

test('counts denied callbacks and mismatched amounts', async () => {
  await using rig = await createRig({ redisUrl: redis.url, environment: { CONFIRM: 'before' } });
  const [short, invented] = rig.gateway
    .addTransactions({ count: 2, createdAt: isoAgo(minuteMs) })
    .map(({ gatewayReference }) => gatewayReference);
  await registerExpectedAmount(
    rig.redis,
    rig.queue,
    { gatewayReference: short ?? '', amount: { value: '250', currency: 'KES' } },
    { keptMs: hourMs, holdMismatched: false },
  );
  for (const reference of [short, invented]) await rig.receive(rig.gateway.bodyOf(reference ?? ''));
  rig.gateway.deny(invented ?? '');
  await lookUp(rig);
  const { lines, denied } = await read(rig);
  expect(lines).toMatchObject([{ count: 1, received: 1, mismatched: 1 }]);
  expect(denied).toBe(1);
});

test('a fee in another currency has its own line, and is never subtracted from the gross', () => {
  const totals = createTotals([]);
  totals.add(rowOf({ gross: '100', fee: '2', feeCurrency: 'USD', net: '' }));
  totals.add(rowOf({ gross: '50', fee: '1.5', feeCurrency: 'KES', net: '48.5' }));
  expect(totals.lines()).toMatchObject([
    { currency: 'KES', count: 2, gross: '150', fees: '1.5', net: '148.5' },
    { currency: 'USD', count: 0, gross: '0', fees: '2' },
  ]);
});

test('the command prints totals, and with --transactions --csv each transaction for a spreadsheet, without formulas', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const evil = '=HYPERLINK("http://evil")';
  rig.gateway.addTransactions({ createdAt: isoAgo(hourMs), merchantReferencePrefix: evil });
  const period = ['--from', '2h', '--to', new Date().toISOString()];
  const totals = await runCli(['--json', 'report', ...period, '--by', 'method,status'], envOf(rig));
  expect(totals.code).toBe(0);
  expect(JSON.parse(totals.out)).toMatchObject({
    data: [{ method: 'mpesa-ke', status: 'success', currency: 'KES', count: 1, gross: '100' }],
    denied: 0,
  });
  const csv = await runCli(['report', ...period, '--transactions', '--csv'], envOf(rig));
  expect(csv.code).toBe(0);
  expect(csv.out.startsWith('\u{FEFF}brand,gatewayReference,')).toBe(true);
  const [, line = ''] = csv.out.split('\r\n');
  expect(line).toContain(`"'=HYPERLINK(""http://evil"")-`);
  expect((await runCli(['report', '--from', '2h', '--to', '3h'], envOf(rig))).code).toBe(2);
  expect((await runCli(['report', ...period, '--by', 'colour'], envOf(rig))).code).toBe(2);
  rig.gateway.setOutage({ kind: 'answer', status: 403 });
  expect((await runCli(['report', ...period], envOf(rig))).code).toBe(69);
});

test('the API answers totals and CSV, 422 for a period without end or over 92 days; the console shows it', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const createdAt = isoAgo(hourMs);
  rig.gateway.addTransactions({ count: 2, createdAt });
  await using service = await startService({
    roles: ['reconcile'],
    env: { ...envOf(rig), PAYALO_API_KEYS: envOf(rig).GATEWAY_API_KEY },
  });
  const ask = (path: string) => fetch(`${service.opsUrl}${path}`);
  const [from, to] = [isoAgo(2 * hourMs), new Date().toISOString()];
  const found = await ask(`/v1/report?from=${from}&to=${to}&by=day,status`);
  expect(found.status).toBe(200);
  expect(JSON.parse(await found.text())).toMatchObject({
    from,
    to,
    data: [{ count: 2, gross: '200', status: 'success' }],
  });
  const csv = await ask(`/v1/report.csv?from=${from}&to=${to}&transactions=true`);
  expect(csv.headers.get('content-type')).toContain('text/csv');
  expect(Buffer.from(await csv.arrayBuffer()).subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
  for (const path of [
    `/v1/report?from=${from}`,
    `/v1/report?to=${to}`,
    `/v1/report?from=${isoAgo(93 * dayMs)}&to=${to}`,
  ]) {
    const refused = await ask(path);
    expect(refused.status).toBe(422);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
  }
  expect((await ask(`/v1/report.csv?from=${from}`)).status).toBe(422);
  expect((await ask(`/v1/report?from=${from}&to=${to}&by=colour`)).status).toBe(400);
  const day = createdAt.slice(0, 10); // yesterday, in the first hour of a day
  const html = await (await ask(`/report?from=${day}&to=${day}&by=day&by=method`)).text();
  expect(html).toContain('mpesa-ke');
  expect(html).toContain('/v1/report.csv?');
  expect(html).toContain('Transactions per day');
  expect(html).toMatch(/<rect\s+class="delivered"/);
  expect(await (await ask('/report')).text()).toContain('type="date"');
});

function rowOf(fields: Partial<ReportRow>): ReportRow {
  return {
    brand: 'default',
    gatewayReference: 'b2p1',
    merchantReference: null,
    createdAtMs: Date.parse('2026-01-31T12:00:00Z'),
    completedAtMs: undefined,
    type: 'payin',
    method: 'mpesa-ke',
    status: 'success',
    currency: 'KES',
    gross: '0',
    fee: '',
    feeCurrency: 'KES',
    net: '',
    errorCode: '',
    ours: 'unknown',
    ...fields,
  };
}
