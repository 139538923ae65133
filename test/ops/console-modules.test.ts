// Unit tests of the console's modules: escaping, the headline, charts, formats. test/system/console.test.ts has the browser.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { callbackPage } from '../../src/ops/console/callback-page.ts';
import { callbackTable } from '../../src/ops/console/callback-table.ts';
import { barChart, lineChart } from '../../src/ops/console/charts.ts';
import { bytesOf, countOf, relativeTo, spanOf } from '../../src/ops/console/format.ts';
import { html, toText } from '../../src/ops/console/html.ts';
import { headlineOf } from '../../src/ops/console/overview-page.ts';
import { overviewLines } from '../../src/ops/console/overview-lines.ts';
import { prettyJson } from '../../src/ops/console/pretty-json.ts';
import { verdictOf } from '../../src/ops/console/verdict.ts';
import type { CallbackView } from '../../src/store/callbacks/callback-view.ts';
import type { Overview } from '../../src/ops/overview.ts';
import { ago, allIsWell, callbackView, calmJobs, forwardingOf, nowMs } from '../support/console-pages.ts';

describe('html', () => {
  test('escapes every inserted text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const page = toText(html`<p title="${text}">${[text, [text]]}</p>`);
        const inside = page.slice('<p title="'.length, -'</p>'.length).replace('">', '');
        expect(inside).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/);
      }),
    );
  });

  test('inserts its own HTML unchanged, and treats nothing else as HTML', () => {
    expect(toText(html`<b>${html`<i>${'<'}</i>`}</b>`)).toBe('<b><i>&lt;</i></b>');
    expect(toText(html`<b>${'<i>'}${undefined}${null}${false}${0}</b>`)).toBe('<b>&lt;i&gt;0</b>');
  });
});

describe('a formatted body', () => {
  const textOf = (body: string) =>
    toText(prettyJson(body))
      .replaceAll(/<[^>]*>/g, '')
      .replaceAll('&quot;', '"')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&#39;', "'")
      .replaceAll('&amp;', '&');

  test('keeps every digit and every escape', () => {
    const body = '{"value":100.00,"big":12345678901234567890,"name":"\\u0041<b>"}';
    expect(textOf(body).replaceAll(/\s/g, '')).toBe(body);
  });

  test('changes nothing but the white space of any JSON', () => {
    fc.assert(
      fc.property(fc.json(), (body) => {
        expect(JSON.parse(textOf(body))).toEqual(JSON.parse(body));
      }),
    );
  });

  test('shows text that is not JSON unchanged', () => {
    expect(textOf('{ "no": JSON')).toBe('{ "no": JSON');
  });
});

describe('the headline names the worst condition', () => {
  const redisDown = { redis: { up: false, usedBytes: null, maxBytes: null }, jobs: null };
  const open = { forwarding: [forwardingOf({ breaker: 'open', openSince: ago(120_000) })] };
  const paused = { forwarding: [forwardingOf({ paused: true })] };
  const cases: readonly (readonly [tone: string, title: string, fields: Partial<Overview>])[] = [
    ['good', 'All is well', {}],
    ['bad', 'Redis cannot be reached', redisDown],
    ['bad', 'Redis cannot be reached', { ...redisDown, ...open }],
    ['bad', 'The merchant’s endpoint does not answer', open],
    ['warn', 'Deliveries are paused', paused],
    ['warn', 'The spool is being emptied', { spool: { entries: 3, bytes: 900, bytesMax: 1_000 } }],
    ['warn', 'A backlog has built up', { oldestWaitingSeconds: 3_600 }],
    ['warn', 'One callback could not be delivered', { jobs: { ...calmJobs, failed: 1 } }],
  ];
  test.for(cases)('%s: %s', ([tone, title, fields]) => {
    expect(headlineOf({ ...allIsWell, ...fields }, nowMs)).toMatchObject({ tone, title });
  });

  test('and the lines below tell since when nothing arrives', () => {
    const silent = forwardingOf({ undelivered: 2, oldestUndelivered: ago(7_200_000), lastDelivered: ago(8_000_000) });
    const lines = overviewLines({
      overview: { ...allIsWell, forwarding: [silent] },
      received: 1,
      callbackUrl: 'http://127.0.0.1/',
      nowMs,
    });
    expect(lines).toEqual([
      expect.stringMatching(/^Nothing was delivered to the merchant since .* the oldest for 2 h\./),
    ]);
  });
});

describe('a superseded callback', () => {
  const superseded = callbackView({ state: 'superseded' });

  test('is explained in the list, and on its own page', () => {
    expect(toText(callbackTable([superseded], nowMs))).toContain('replaced by a correction');
    const finding = { callback: superseded, corrected: [], others: [] };
    const asker = { mayChange: true, mayReveal: true };
    const page = toText(html`${callbackPage({ finding, elsewhere: [], nowMs, asker })}`);
    expect(page).toContain('so the correction goes to the shop instead');
    expect(page).toContain('A correction replaced it; there is nothing to do here.');
  });
});

test('a conflict shows its amount like every other amount', () => {
  const conflict = { quarantineId: 'q1', status: 'failed', amount: '409KES', receivedAt: null, body: null };
  const finding = { callback: callbackView({ conflicts: [conflict] }), corrected: [], others: [] };
  const asker = { mayChange: true, mayReveal: true };
  const page = toText(html`${callbackPage({ finding, elsewhere: [], nowMs, asker })}`);
  expect(page).toContain('409 <small>KES</small>');
  expect(page).not.toContain('409KES');
});

describe('charts', () => {
  const series = { className: 'received', name: 'received <b>', values: [0, 2, undefined, 4] } as const;

  test('draw a bar for each value, none for zero, and give the sum as text', () => {
    const chart = toText(barChart('Per minute', [series]));
    expect(chart.match(/<rect/g)).toHaveLength(2);
    expect(chart).toContain('aria-label="Per minute. received &lt;b&gt;: 6"');
    expect(chart).toContain('peak 4/min');
  });

  test('are complete without any value', () => {
    expect(toText(lineChart('Waiting', { ...series, values: [] }))).not.toContain('NaN');
    expect(toText(barChart('Per minute', [{ ...series, values: [] }]))).not.toContain('NaN');
  });
});

describe('formats', () => {
  test('durations name their two largest units', () => {
    expect([12, 8_000, 61_000, 720_000, 3_660_000, 273_600_000].map(spanOf)).toEqual([
      '12 ms',
      '8 s',
      '1 min 1 s',
      '12 min',
      '1 h 1 min',
      '3 d 4 h',
    ]);
  });

  test('times are relative to now', () => {
    expect([ago(1_000), ago(180_000), ago(-7_200_000)].map((iso) => relativeTo(iso, nowMs))).toEqual([
      'just now',
      '3 min ago',
      'in 2 h',
    ]);
  });

  test('counts and sizes are readable', () => {
    expect([countOf(1_234_567), bytesOf(0), bytesOf(1_536), bytesOf(2.5 * 1024 ** 3)]).toEqual([
      '1\u202F234\u202F567',
      '0 B',
      '1.5 KB',
      '2.5 GB',
    ]);
  });
});

describe('the verdict on a callback', () => {
  const sum = (value: string, currency = 'KES') => `{ "value": ${value}, "currency": "${currency}" }`;
  const bodyOf = (fields: string) => `{ "gatewayReference": "b2p1", ${fields} }`;
  const paid = bodyOf(`"requestedAmount": ${sum('100.00')}, "finalAmount": ${sum('100.0')}`);
  const view = (fields: Partial<CallbackView>) => callbackView({ body: paid, ...fields });

  test.each<[string, Partial<CallbackView>, string, 'good' | 'bad' | 'neutral']>([
    ['paid', {}, 'Paid 100.0 KES', 'good'],
    ['paid, of which only the memory is left', { body: null }, 'Paid 100.0 KES', 'good'],
    [
      'paid in part',
      { body: bodyOf(`"requestedAmount": ${sum('7205.00')}, "finalAmount": ${sum('3602.50')}`) },
      'Paid 3602.50 KES of 7205.00 KES',
      'bad',
    ],
    ['paid otherwise than ordered', { amountCheck: 'short' }, 'Paid 100.0 KES, which is not what was ordered', 'bad'],
    [
      'failed',
      { status: 'failed', body: bodyOf(`"finalAmount": null, "errorMessage": "Insufficient funds", "errorCode": "x"`) },
      'Not paid: Insufficient funds',
      'bad',
    ],
    ['failed, for no reason given', { status: 'failed', body: bodyOf('"a": 1') }, 'Not paid', 'bad'],
    ['forged', { confirmed: 'denied' }, 'Not real: the gateway does not know this payment', 'bad'],
    [
      'forged, and held',
      { confirmed: 'denied', state: 'held', heldReason: 'differs: ...' },
      'Not true: the gateway reports another result',
      'bad',
    ],
    ['reversed', { status: 'reversed' }, 'Taken back: the payment was reversed', 'bad'],
    ['in review', { status: 'in_review' }, 'Not finished: in_review', 'neutral'],
    ['no JSON', { body: '{' }, 'Paid; the amount is not stated', 'good'],
  ])('%s', (_, fields, title, tone) => {
    expect(verdictOf({ callback: view(fields), others: [] })).toMatchObject({ title, tone });
  });

  test('says whether the shop was notified of a forged payment, and what has happened to a paid one since', () => {
    const forged = { confirmed: 'denied' } as const;
    expect(verdictOf({ callback: view(forged), others: [] }).detail).toContain('take back what was given');
    expect(verdictOf({ callback: view({ ...forged, state: 'held' }), others: [] }).detail).toBe('Send nothing for it.');
    const others = [view({ status: 'reversed', receivedAt: ago(1_000) })];
    expect(verdictOf({ callback: view({}), others })).toMatchObject({
      title: 'Was paid, and has since been reversed',
      tone: 'bad',
    });
  });
});
