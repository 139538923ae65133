import { describe, expect, it } from 'vitest';
import { call, parseObject, referenceOfPayin, startGateway } from './simulators.ts';

describe('status', () => {
  it('returns the same object by either reference, and counts the calls of each transaction', async () => {
    const { gateway, url } = await startGateway({ callbackDelayMs: 60_000 });
    const reference = await referenceOfPayin(url, { merchantReference: 'order 1/ä' });
    const byGateway = await call(`${url}/status/${reference}`);
    const byMerchant = await call(`${url}/status/mref/${encodeURIComponent('order 1/ä')}`);
    expect(byGateway.headers.get('content-type')).toMatch(/^application\/json/);
    expect(byGateway.text).toBe(byMerchant.text);
    expect(byGateway.json).toMatchObject({ status: 'pending', finalAmount: null, completedAt: null, errorCode: null });
    expect(gateway.transaction(reference)?.statusCalls).toBe(2);
    expect(gateway.calls()).toMatchObject({ start: 1, status: 1, statusByMerchantReference: 1, records: 0 });
    gateway.resetCalls();
    expect(gateway.calls()).toMatchObject({ start: 0, status: 0, statusByMerchantReference: 0 });
  });

  it.each(['/status/unknown', '/status/mref/unknown', '/nowhere'])('answers %s with a 404 problem', async (path) => {
    const { url } = await startGateway();
    const { status, headers, json } = await call(`${url}${path}`);
    expect([status, json['status'], json['errorCode']]).toEqual([404, 404, 'not_found']);
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
  });

  it('answers 429 with Retry-After beyond the rate, and serves again as time passes', async () => {
    let nowMs = 0;
    const { gateway, url } = await startGateway({ statusCallsPerSecondMax: 2, now: () => nowMs });
    const ask = () => call(`${url}/status/unknown`);
    for (let count = 0; count < 4; count += 1) expect((await ask()).status).toBe(404);
    const limited = await ask();
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '1']);
    expect(gateway.calls().limited).toBe(1);
    nowMs = 500;
    expect([(await ask()).status, (await ask()).status]).toEqual([404, 429]);
  });
});

const windowStart = '2026-03-01T00:00:00Z';
const window = `from=${windowStart}&to=2026-03-02T00:00:00Z`;

/** Follows the cursor to the end, each follow-up with `page` alone. */
async function follow(url: string, query: string) {
  const pages: string[][] = [];
  for (let next: string | null = query; next !== null;) {
    const { status, text } = await call(`${url}/records?${next}`);
    if (status !== 200) throw new Error(text);
    const { data, pages: links } = parseObject(text);
    pages.push(Array.isArray(data) ? data.map((item) => String(item.merchantReference)) : []);
    const cursor = parseObject(JSON.stringify(links))['next'];
    next = typeof cursor === 'string' ? `page=${encodeURIComponent(cursor)}` : null;
  }
  return pages;
}

describe('records', () => {
  it('lists what was created from `from` on and before `to`, oldest first', async () => {
    const { gateway, url } = await startGateway();
    for (const createdAt of ['2026-03-02T00:00:00Z', '2026-03-01T12:00:00Z', '2026-02-28T23:59:59.999Z', windowStart]) {
      gateway.addTransactions({ createdAt, merchantReferencePrefix: createdAt });
    }
    expect(await follow(url, window)).toEqual([[`${windowStart}-3`, '2026-03-01T12:00:00Z-1']]);
  });

  it('shows each transaction as the status endpoint does', async () => {
    const { gateway, url } = await startGateway();
    const [transaction] = gateway.addTransactions({ createdAt: windowStart, amount: '12345678901234567890.10' });
    const { text } = await call(`${url}/records?${window}`);
    const status = await call(`${url}/status/${transaction?.gatewayReference ?? ''}`);
    expect(text).toContain(status.text);
    expect(text).toContain('"value": 12345678901234567890.10');
  });

  it('pages without a gap or a repeat, also where many were created in one instant', async () => {
    const { gateway, url } = await startGateway();
    gateway.addTransactions({ count: 8, createdAt: windowStart, merchantReferencePrefix: 'm' });
    expect(await follow(url, `${window}&pageSize=3`)).toEqual([
      ['m-0', 'm-1', 'm-2'],
      ['m-3', 'm-4', 'm-5'],
      ['m-6', 'm-7'],
    ]);
    expect(await follow(url, `${window}&pageSize=4`)).toHaveLength(2);
  });

  it('keeps its filters and its place over the pages, while new ones arrive', async () => {
    const { gateway, url } = await startGateway();
    gateway.addTransactions({ count: 3, createdAt: windowStart, everyMs: 1000, merchantReferencePrefix: 'kept' });
    gateway.addTransactions({ count: 3, createdAt: windowStart, everyMs: 1000, status: 'failed' });
    const first = await call(`${url}/records?${window}&status=success&pageSize=2`);
    gateway.addTransactions({ count: 2, createdAt: windowStart, merchantReferencePrefix: 'late' });
    const { next } = parseObject(JSON.stringify(first.json['pages']));
    expect(await follow(url, `page=${String(next)}`)).toEqual([['kept-2']]);
  });

  it.each([
    ['type=payout', 'payout-1'],
    ['method=airtel-ke', 'airtel-2'],
    ['status=pending', 'pending-3'],
    ['type=payin&method=mpesa-ke&status=success', 'plain-0'],
  ])('filters by %s', async (filter, found) => {
    const { gateway, url } = await startGateway();
    gateway.addTransactions({ createdAt: windowStart, merchantReferencePrefix: 'plain' });
    gateway.addTransactions({ createdAt: windowStart, merchantReferencePrefix: 'payout', type: 'payout' });
    gateway.addTransactions({ createdAt: windowStart, merchantReferencePrefix: 'airtel', method: 'airtel-ke' });
    gateway.addTransactions({ createdAt: windowStart, merchantReferencePrefix: 'pending', status: 'pending' });
    expect(await follow(url, `${window}&${filter}`)).toEqual([[found]]);
  });

  it.each([
    ['no page size', '', 50],
    ['a page size of 0', '&pageSize=0', 1],
    ['a negative page size', '&pageSize=-5', 1],
    ['a page size of 5001', '&pageSize=5001', 5000],
  ])('gives for %s', async (_what, pageSize, length) => {
    const { gateway, url } = await startGateway();
    gateway.addTransactions({ count: 5001, createdAt: windowStart });
    const { json } = await call(`${url}/records?${window}${pageSize}`);
    expect(json['data']).toHaveLength(length);
    expect(json['pages']).toEqual({ next: expect.any(String) });
  });

  it.each([
    ['no window', ''],
    ['no to', `from=${windowStart}`],
    ['to equal to from', `from=${windowStart}&to=${windowStart}`],
    ['to before from', 'from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z'],
    ['an invalid time', 'from=yesterday&to=2026-03-01T00:00:00Z'],
    ['a time without an offset', 'from=2026-03-01T00:00:00&to=2026-03-02T00:00:00'],
    ['a page size that is not a number', `${window}&pageSize=many`],
    ['an unknown type', `${window}&type=gift`],
    ['a foreign cursor', 'page=eyJhIjoxfQ'],
    ['a cursor that is not alone', `${window}&page=x`],
  ])('refuses %s with a 400 problem', async (_what, query) => {
    const { url } = await startGateway();
    const { status, json } = await call(`${url}/records?${query}`);
    expect([status, json['errorCode']]).toEqual([400, 'validation_failed']);
  });

  it('shows a merchant only its own, also to a cursor of another', async () => {
    const key = 'acme-key-0123456789';
    const { gateway, url } = await startGateway({ merchants: { acme: [key] } });
    gateway.addTransactions({ count: 2, createdAt: windowStart });
    const { json } = await call(`${url}/records?${window}&pageSize=1`);
    const { next } = parseObject(JSON.stringify(json['pages']));
    expect((await call(`${url}/records?${window}`, { key })).json['data']).toEqual([]);
    expect((await call(`${url}/records?page=${String(next)}`, { key })).json['data']).toEqual([]);
  });

  it('understands offsets and microseconds', async () => {
    const { gateway, url } = await startGateway();
    gateway.addTransactions({ createdAt: windowStart, merchantReferencePrefix: 'm' });
    const query = new URLSearchParams({
      from: '2026-03-01T03:00:00.000000+03:00',
      to: '2026-03-01T03:00:01.000000+03:00',
    });
    expect(await follow(url, query.toString())).toEqual([['m-0']]);
  });
});
