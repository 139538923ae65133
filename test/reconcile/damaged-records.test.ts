// One damaged record, or one failing hour, does not keep anything else from arriving.
import { describe, expect, test } from 'vitest';
import { readReconciliationReport } from '../../src/store/reconciliation/reconciliation-report.ts';
import { parseRecordsPage } from '../../src/reconcile/gateway/records-page.ts';
import { createJobReader } from '../../src/store/callbacks/read-callbacks.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { verifyWindow } from '../../src/reconcile/verify.ts';
import type { VerifyEvent } from '../../src/reconcile/verify-event.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig, type RigOptions } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

const { server: redis } = await withRedis();

const rigOf = (options: Omit<RigOptions, 'redisUrl'> = {}) => createRig({ redisUrl: redis.url, ...options });
const lastHour = () => ({ fromMs: Date.now() - hourMs, toMs: Date.now() });
const bytes = (value: string | Buffer) => ({ kind: 'bytes', base64: Buffer.from(value).toString('base64') }) as const;
const replaced = (body: string, text: string, by: Buffer) => {
  const at = body.indexOf(text);
  return Buffer.concat([Buffer.from(body.slice(0, at)), by, Buffer.from(body.slice(at + text.length))]);
};

/** Damages that make a record unreadable, and whether its reference is still readable. */
const damages: readonly [name: string, damage: (body: string) => string | Buffer, named: boolean][] = [
  ['a byte that is not UTF-8', (body) => replaced(body, 'Kenya', Buffer.from([0x4b, 0xff])), true],
  ['half a character', (body) => replaced(body, 'Kenya', Buffer.from([0xe2, 0x82])), true],
  ['an invalid number', (body) => body.replace('100.00', '0100.'), true],
  ['a bare word', (body) => body.replace('"KES"', 'KES'), true],
  ['a raw line break in a string', (body) => body.replace('Kenya', 'Ken\nya'), true],
  ['no value', (body) => body.replace(/"completionSource": "[^"]*"/, '"completionSource": '), true],
  ['a missing reference', (body) => body.replace('gatewayReference', 'reference'), false],
  ['a list', () => '[1, {"a": [2]}]', false],
  ['a text', () => '"gone, \\" }"', false],
  ['null', () => 'null', false],
  ['nothing', () => '', false],
  ['a field of 2 MB', (body) => body.replace('Kenya', 'x'.repeat(2_000_000)), true],
];

/** Damages that hide where the record ends. */
const worse: readonly [name: string, damage: (body: string) => string | Buffer][] = [
  ['a missing quote', (body) => body.replace('"mpesa-ke"', '"mpesa-ke')],
  ['a missing bracket', (body) => body.replace(/\}\s*$/, '')],
  ['an extra bracket', (body) => `${body}}`],
  ['cut off in its middle', (body) => body.slice(0, 200)],
];

/** Three good records before it, three after it. */
function addAround(rig: Rig, damage: (body: string) => string | Buffer) {
  const added = rig.gateway.addTransactions({ count: 7, createdAt: isoAgo(30 * minuteMs), everyMs: 60_000 });
  const references = added.map(({ gatewayReference }) => gatewayReference);
  const bad = references[3] ?? '';
  rig.gateway.misbehave(bad, { record: bytes(damage(rig.gateway.bodyOf(bad))) });
  return { bad, good: references.filter((reference) => reference !== bad) };
}

const delivered = async (rig: Rig) => (await rig.jobs()).map(({ gatewayReference }) => gatewayReference);
const metric = (rig: Rig, name: string) => rig.metrics.registry.getSingleMetricAsString(name);

describe('a record with', () => {
  test.each(damages)('%s is skipped and counted, and its neighbours are delivered', async (_name, damage, named) => {
    await using rig = await rigOf();
    const { bad, good } = addAround(rig, damage);
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 6, injected: 6, unreadable: 1, errors: 1 } });
    expect(new Set(await delivered(rig))).toEqual(new Set(good));
    expect(rig.gateway.calls().records).toBe(1);
    expect(await metric(rig, 'payalo_reconciliation_unreadable_total')).toContain('unreadable_total 1');
    expect(rig.logged('reconcile.record_unreadable')).toHaveLength(1);
    // If its reference is readable, the status call returns the rest.
    rig.clock.advance(2 * minuteMs);
    await lookUp(rig);
    expect((await delivered(rig)).includes(bad)).toBe(named);
  });

  test.each(worse)('%s costs only itself, found by halving the window', async (_name, damage) => {
    await using rig = await rigOf();
    const { good } = addAround(rig, damage);
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 6, missing: 6, injected: 6, unreadable: 1 } });
    expect(new Set(await delivered(rig))).toEqual(new Set(good));
    expect(rig.gateway.calls().records).toBeLessThan(60);
  });

  test('damage in several places costs only those', async () => {
    await using rig = await rigOf();
    const { good } = addAround(rig, (body) => body.slice(0, 100));
    const [first = '', last = ''] = [good[0], good.at(-1)];
    rig.gateway.misbehave(first, { record: bytes('{"a": "') });
    rig.gateway.misbehave(last, { record: bytes('7') });
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 4, injected: 4, unreadable: 3 } });
  });

  test('damage in a dozen places of one hour costs only those', { timeout: 60_000 }, async () => {
    await using rig = await rigOf();
    const added = rig.gateway.addTransactions({ count: 48, createdAt: isoAgo(50 * minuteMs), everyMs: minuteMs });
    const references = added.map(({ gatewayReference }) => gatewayReference);
    const isBad = (index: number) => index % 4 === 1;
    for (const bad of references.filter((_, index) => isBad(index)))
      rig.gateway.misbehave(bad, { record: bytes('{"a": "') });
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { injected: 36, unreadable: 12 } });
    expect(new Set(await delivered(rig))).toEqual(new Set(references.filter((_, index) => !isBad(index))));
    expect(rig.gateway.calls().records).toBeLessThan(600);
  });

  test('damage proves nothing: verify names it, and reports how many differ', async () => {
    await using rig = await rigOf();
    addAround(rig, (body) => body.replace('100.00', '0100.'));
    await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    const events: VerifyEvent[] = [];
    for await (const event of verifyWindow(rig.scope, createJobReader(rig.redis), lastHour(), signal))
      events.push(event);
    const kinds = events.flatMap((event) => (event.kind === 'difference' ? [event.difference.kind] : []));
    expect(kinds.filter((kind) => kind === 'unreadable')).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ kind: 'compared', terminal: 6 });
  });
});

test('a page is split byte for byte, for any content of its strings', () => {
  const records = [
    '{"gatewayReference": "a", "x": "]}\\",[{", "n": 1.50}',
    '{ "gatewayReference":"b","y":[{"z":[]}] }',
  ];
  const text = `\uFEFF { "more": [1], "data" : [${records.join(' ,\n')}] , "pages": {"next": "c"} }`;
  const page = parseRecordsPage(Buffer.from(text));
  expect(page).toMatchObject({ unreadable: [], next: 'c' });
  if (typeof page !== 'object') return;
  expect(page.transactions.map(({ callback }) => callback.body.trimEnd())).toEqual(records);
});

test('an answer that is not a page of the gateway is not treated as a damaged one', () => {
  expect(parseRecordsPage(Buffer.from('<html>502</html>'))).toBeUndefined();
  expect(parseRecordsPage(Buffer.from(''))).toBeUndefined();
  expect(parseRecordsPage(Buffer.from('{"message":"later"}'))).toBe('damaged');
});

describe('an hour whose records fail every time', () => {
  const report = (rig: Rig) => readReconciliationReport(rig.redis, rig.queue, rig.clock.now());
  const windowMs = hourMs;

  test.each([
    ['answers 400', { kind: 'answer', status: 400 }],
    ['answers rubbish', { kind: 'garbage' }],
  ] as const)(
    'since it %s stops no other hour, shows in the gauges, and is swept separately once it can be',
    { timeout: 60_000 },
    async (_name, record) => {
      await using rig = await rigOf({ environment: { RECONCILE_LOOKBACK: '6h' } });
      const add = (hours: number) => rig.gateway.addTransactions({ createdAt: isoAgo(hours * hourMs) })[0];
      const bad = add(4.5)?.gatewayReference ?? '';
      rig.gateway.misbehave(bad, { record });
      const good = [0.2, 1.5, 3.2, 5.6].map((hours) => add(hours)?.gatewayReference ?? '');
      const stage = rig.reconciliation({ windowMs });
      await stage.start();
      await until(async () => (await delivered(rig)).length === good.length);
      await until(async () => (await report(rig)).windowsBehind === 1);
      const recents = async () => (await report(rig)).sweeps.filter(({ kind }) => kind === 'recent').length;
      const stale = (await report(rig)).lastSuccess;
      const before = await recents();
      await until(async () => (await recents()) > before + 2);
      const { lastSuccess, lastFull, lastRecent } = await report(rig);
      expect({ lastSuccess, lastFull }).toEqual({ lastSuccess: stale, lastFull: null });
      expect(Date.parse(lastRecent ?? '')).toBeGreaterThan(Date.parse(stale ?? ''));
      await until(async () => / [1-9]/.test(await metric(rig, 'payalo_reconciliation_windows_behind')));
      await until(async () => / 1\d{9}/.test(await metric(rig, 'payalo_reconciliation_last_recent_timestamp_seconds')));
      expect(await metric(rig, 'payalo_reconciliation_last_full_timestamp_seconds')).toMatch(/ 0$/);
      rig.gateway.misbehave(bad, {});
      await until(async () => (await delivered(rig)).includes(bad));
      await until(async () => (await report(rig)).lastSuccess !== stale);
      await stage.stop(5_000);
      expect(new Set(await delivered(rig))).toEqual(new Set([bad, ...good]));
    },
  );
});
