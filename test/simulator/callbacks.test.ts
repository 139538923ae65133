import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { transactionText } from '../../simulator/transaction-text.ts';
import { call, referenceOfPayin, startGateway, startMerchant } from './simulators.ts';

describe('a callback', () => {
  it('is a POST of the object that the status endpoint returns, byte for byte, with the key and the type', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl, amount: '100', labels: { shop: 'Café "Ω"' } });
    await gateway.idle();
    const [callback] = merchant.deliveries();
    expect(callback?.method).toBe('POST');
    expect(callback?.rawHeaders).toEqual(
      expect.arrayContaining(['X-API-KEY', 'simulator-api-key-0001', 'Content-Type', 'application/json']),
    );
    const status = await fetch(`${url}/status/${reference}`, { headers: { 'X-Api-Key': 'simulator-api-key-0001' } });
    expect(callback?.body).toEqual(Buffer.from(await status.arrayBuffer()));
    expect(callback?.body.toString()).toContain('"requestedAmount": { "value": 100.00, "currency": "KES" }');
  });

  it('is spaced exactly as the documentation shows it', () => {
    const atMs = Date.parse('2024-06-01T12:34:56Z');
    const requestedAmount = { value: '100.00', currency: 'KES' };
    const text = transactionText({
      sequence: 0,
      merchant: 'default',
      type: 'payin',
      flow: 'direct',
      method: 'mpesa-ke',
      country: 'KE',
      gatewayReference: 'b2p01j3abcdef0000000000000000a1b2',
      merchantReference: 'quickstart-001',
      reconciliationReference: null,
      labels: null,
      requestedAmount,
      resultUrl: null,
      createdAtMs: atMs,
      state: {
        status: 'success',
        finalAmount: requestedAmount,
        completedAtMs: atMs + 16_000,
        completionSource: 'webhook',
        errorCode: null,
        errorMessage: null,
      },
      callbacks: [],
      statusCalls: 0,
      misbehaviour: {},
      luck: { loss: 1, duplicate: 1 },
    });
    expect(text).toBe(`{
  "status": "success", "type": "payin", "flow": "direct",
  "gatewayReference": "b2p01j3abcdef0000000000000000a1b2",
  "merchantReference": "quickstart-001",
  "method": "mpesa-ke", "country": "KE",
  "requestedAmount": { "value": 100.00, "currency": "KES" },
  "finalAmount":     { "value": 100.00, "currency": "KES" },
  "createdAt":   "2024-06-01T12:34:56.000000Z",
  "completedAt": "2024-06-01T12:35:12.000000Z",
  "completionSource": "webhook",
  "errorCode": null, "errorMessage": null,
  "providerData": { "name": "mpesa", "title": "M-Pesa Kenya", "fee": { "value": 2.00, "currency": "KES" } }
}`);
  });

  it.each([
    ['100', '100.00'],
    ['100.5', '100.50'],
    ['0.01', '0.01'],
    ['1.2345', '1.2345'],
    ['123456789012345678901234567890.10', '123456789012345678901234567890.10'],
  ])('keeps the amount %s as %s', async (amount, written) => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    await referenceOfPayin(url, { resultUrl, amount });
    await gateway.idle();
    expect(merchant.deliveries()[0]?.body.toString()).toContain(`"finalAmount":     { "value": ${written}, "currency"`);
  });

  it('leaves no sooner than the delay after the start', async () => {
    const { gateway, url } = await startGateway({ callbackDelayMs: 40 });
    const { url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    const transaction = gateway.transaction(reference);
    expect((transaction?.callbacks[0]?.atMs ?? 0) - (transaction?.createdAtMs ?? 0)).toBeGreaterThanOrEqual(39);
  });

  it.each([200, 204, 299])('counts as delivered with %i, whatever the body says', async (status) => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    merchant.always(answer(status, { body: status === 204 ? '' : '<not json' }));
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    expect(gateway.transaction(reference)?.callbacks).toMatchObject([{ outcome: 'delivered', httpStatus: status }]);
  });

  it.each([
    ['302', answer(302, { location: '/elsewhere' }), { httpStatus: 302 }],
    ['404', answer(404), { httpStatus: 404 }],
    ['503', answer(503), { httpStatus: 503 }],
    ['a reset', { kind: 'reset' } as const, { httpStatus: null, error: expect.any(String) }],
    ['bytes that are not HTTP', { kind: 'garbage' } as const, { httpStatus: null, error: expect.any(String) }],
    ['no answer in time', { kind: 'hang' } as const, { httpStatus: null, error: 'TimeoutError' }],
  ])('is attempted once and recorded as failed after %s', async (_what, behaviour, record) => {
    const { gateway, url } = await startGateway({ callbackTimeoutMs: 500 });
    const { merchant, url: resultUrl } = await startMerchant();
    merchant.always(behaviour);
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    expect(gateway.transaction(reference)?.callbacks).toMatchObject([{ outcome: 'failed', ...record }]);
    expect(merchant.deliveries()).toHaveLength(1);
  });

  it('is recorded as failed if no server listens', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    await merchant.down();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    expect(gateway.transaction(reference)?.callbacks).toMatchObject([{ outcome: 'failed', error: 'ECONNREFUSED' }]);
  });

  it('has 15 seconds by default', async () => {
    const timeout = vi.spyOn(AbortSignal, 'timeout');
    onTestFinished(() => timeout.mockRestore());
    const { gateway, url } = await startGateway();
    const { url: resultUrl } = await startMerchant();
    await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    expect(timeout.mock.calls).toEqual([[15_000]]);
  });
});

/** A gateway whose callbacks of one merchant have failed so often in a row. */
async function failing(failures: number) {
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  const breaker = { failuresToOpen: 3, openMs: 30_000 };
  const { gateway } = await startGateway({ breaker, now: () => nowMs, merchants: { acme: ['acme-key-0123456789'] } });
  const { merchant, url: resultUrl } = await startMerchant();
  merchant.always(answer(503));
  const [transaction] = gateway.addTransactions({ resultUrl });
  const reference = transaction?.gatewayReference ?? '';
  const send = async () => (await gateway.sendCallback(reference)).outcome;
  for (let count = 0; count < failures; count += 1) expect(await send()).toBe('failed');
  return { gateway, merchant, resultUrl, send, later: (ms: number) => void (nowMs += ms) };
}

describe('the breaker', () => {
  it('stays closed below the number of failures in a row; one delivery resets the count', async () => {
    const { gateway, merchant, send } = await failing(2);
    merchant.next(answer(200));
    expect([await send(), await send(), await send()]).toEqual(['delivered', 'failed', 'failed']);
    expect(gateway.breakerState()).toBe('closed');
  });

  it('opens after them: callbacks are skipped, recorded as such, and never reach the merchant', async () => {
    const { gateway, merchant, send } = await failing(3);
    expect(gateway.breakerState()).toBe('open');
    merchant.always(answer(200));
    expect(await send()).toBe('skipped');
    expect(merchant.deliveries()).toHaveLength(3);
  });

  it('lets one probe through after a while: a delivery closes it', async () => {
    const { gateway, merchant, send, later } = await failing(3);
    later(30_000);
    expect(gateway.breakerState()).toBe('half-open');
    merchant.next(answer(200, { delayMs: 50 }));
    merchant.next(answer(200));
    expect(await Promise.all([send(), send()])).toEqual(['delivered', 'skipped']);
    expect(gateway.breakerState()).toBe('closed');
    expect(await send()).toBe('delivered');
  });

  it('opens again for as long when the probe fails', async () => {
    const { gateway, send, later } = await failing(3);
    later(30_000);
    expect(await send()).toBe('failed');
    later(29_999);
    expect([gateway.breakerState(), await send()]).toEqual(['open', 'skipped']);
  });

  it('is one per merchant', async () => {
    const { gateway, merchant, resultUrl } = await failing(3);
    merchant.always(answer(200));
    const [other] = gateway.addTransactions({ merchant: 'acme', resultUrl });
    expect(await gateway.sendCallback(other?.gatewayReference ?? '')).toMatchObject({ outcome: 'delivered' });
    expect([gateway.breakerState('default'), gateway.breakerState('acme')]).toEqual(['open', 'closed']);
  });
});

/** What became of the callbacks of 200 transactions. */
async function fates(seed: number, chances: { lossProbability?: number; duplicateProbability?: number }) {
  const { gateway } = await startGateway({ seed, callbackDelayMs: 1, ...chances });
  const { url: resultUrl } = await startMerchant();
  const transactions = gateway.addTransactions({ count: 200, resultUrl, callbacks: true });
  await gateway.idle();
  return transactions.map(({ callbacks }) => callbacks.map(({ outcome }) => outcome).join());
}

describe('chances', () => {
  it('lose about the given share, the same ones for the same seed', async () => {
    const first = await fates(7, { lossProbability: 0.3 });
    const lost = first.filter((fate) => fate === 'lost').length;
    expect(lost).toBeGreaterThan(35);
    expect(lost).toBeLessThan(85);
    expect(first.filter((fate) => fate !== 'lost')).toEqual(Array.from({ length: 200 - lost }, () => 'delivered'));
    expect(await fates(7, { lossProbability: 0.3 })).toEqual(first);
    expect(await fates(8, { lossProbability: 0.3 })).not.toEqual(first);
  });

  it('send about the given share twice', async () => {
    const twice = (await fates(7, { duplicateProbability: 0.3 })).filter(
      (fate) => fate === 'delivered,delivered',
    ).length;
    expect(twice).toBeGreaterThan(35);
    expect(twice).toBeLessThan(85);
  });

  it('change at run time', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    gateway.setChances({ lossProbability: 1 });
    await referenceOfPayin(url, { resultUrl, merchantReference: 'lost' });
    await gateway.idle();
    gateway.setChances({ lossProbability: 0, duplicateProbability: 1 });
    await referenceOfPayin(url, { resultUrl, merchantReference: 'twice' });
    await gateway.idle();
    expect(merchant.deliveries().map(({ body }) => /"merchantReference": "(\w+)"/.exec(body.toString())?.[1])).toEqual([
      'twice',
      'twice',
    ]);
  });

  it('do not affect the status endpoint', async () => {
    const { gateway, url } = await startGateway({ lossProbability: 1 });
    const { url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    expect((await call(`${url}/status/${reference}`)).json['status']).toBe('success');
  });
});
