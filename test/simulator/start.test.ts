import { describe, expect, it } from 'vitest';
import { call, referenceOfPayin, startBody, startGateway, startMerchant, startPayin } from './simulators.ts';

describe('starting a transaction', () => {
  it.each([
    ['/direct/payin/mpesa-ke', 'payin', 'direct'],
    ['/direct/payout/mpesa-ke', 'payout', 'direct'],
    ['/direct/taxpayout/mpesa-ke', 'tax', 'direct'],
    ['/web/payin/mpesa-ke', 'payin', 'web'],
  ])('%s answers pending at once, and is a %s of flow %s', async (path, type, flow) => {
    const { gateway, url } = await startGateway();
    const body = startBody({ reconciliationReference: 'books-1' });
    const { status, json } = await call(`${url}${path}`, { method: 'POST', body });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      status: 'pending',
      merchantReference: 'quickstart-001',
      reconciliationReference: 'books-1',
      gatewayReference: expect.stringMatching(/^b2p[0-9a-z]{30}$/),
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    });
    expect(gateway.transaction(String(json['gatewayReference']))).toMatchObject({ type, flow, method: 'mpesa-ke' });
  });

  it('sends the payer of a web flow to an address that answers; the direct flows have none', async () => {
    const { url } = await startGateway();
    const web = await call(`${url}/web/payin/mpesa-ke`, { method: 'POST', body: startBody() });
    expect((await call(String(web.json['redirectUrl']))).text).toContain(String(web.json['gatewayReference']));
    expect((await startPayin(url, { merchantReference: 'other' })).json).not.toHaveProperty('redirectUrl');
  });

  it('refuses a repeated merchantReference with 422, whatever else changed, and keeps the first', async () => {
    const { gateway, url } = await startGateway();
    const reference = await referenceOfPayin(url);
    const again = await startPayin(url, { amount: '5.00' });
    expect(again.status).toBe(422);
    expect(again.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(again.json).toEqual({
      type: expect.stringMatching(/\/merchant_transactionid_duplicate$/),
      title: expect.any(String),
      status: 422,
      detail: expect.any(String),
      errorCode: 'business_logic_error',
    });
    expect(gateway.transactions().map(({ gatewayReference }) => gatewayReference)).toEqual([reference]);
  });

  it('lets two merchants use the same merchantReference, and hides one from the other', async () => {
    const { url } = await startGateway({ merchants: { acme: ['acme-key-0123456789'] } });
    const reference = await referenceOfPayin(url);
    const key = 'acme-key-0123456789';
    const acme = await call(`${url}/direct/payin/mpesa-ke`, { method: 'POST', key, body: startBody() });
    expect(acme.status).toBe(200);
    expect((await call(`${url}/status/${reference}`, { key })).status).toBe(404);
    expect((await call(`${url}/status/mref/quickstart-001`, { key })).json['gatewayReference']).toBe(
      acme.json['gatewayReference'],
    );
  });

  it.each([
    ['no amount', { amount: 'null' }],
    ['an amount that is text', { amount: '"100.00"' }],
    ['an amount of zero', { amount: '0.00' }],
    ['a negative amount', { amount: '-1.00' }],
    ['no payer', { payer: undefined }],
    ['a payer without a phone number', { payer: { id: 'payer-1' } }],
    ['an invalid phone number', { payer: { id: 'payer-1', msisdn: 'phone' } }],
    ['no country', { country: undefined }],
    ['no resultUrl', { resultUrl: undefined }],
    ['a resultUrl of 2049 characters', { resultUrl: `http://127.0.0.1/${'x'.repeat(2049 - 17)}` }],
    ['an invalid resultUrl', { resultUrl: 'ftp://127.0.0.1/' }],
    ['no merchantReference', { merchantReference: undefined }],
    ['an empty merchantReference', { merchantReference: '' }],
    ['a merchantReference of 256 characters', { merchantReference: 'x'.repeat(256) }],
    ['eleven labels', { labels: Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`l${index}`, 'x'])) }],
    ['a label that is a number', { labels: { order: 1 } }],
  ])('refuses %s with a validation problem, and stores nothing', async (_what, fields) => {
    const { gateway, url } = await startGateway();
    const { status, headers, json } = await startPayin(url, fields);
    expect(status).toBe(400);
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(json).toMatchObject({ status: 400, errorCode: 'validation_failed', detail: expect.stringMatching(/./) });
    expect(json['type']).toMatch(/\/validation_failed$/);
    expect(gateway.transactions()).toHaveLength(0);
  });

  it('accepts the longest values', async () => {
    const { url } = await startGateway();
    const labels = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`l${index}`, 'x']));
    const merchantReference = 'я'.repeat(255);
    const resultUrl = `http://127.0.0.1/${'x'.repeat(2048 - 17)}`;
    expect((await startPayin(url, { labels, merchantReference, resultUrl })).status).toBe(200);
    const found = await call(`${url}/status/mref/${encodeURIComponent(merchantReference)}`);
    expect(found.json).toMatchObject({ merchantReference, labels });
  });

  it('refuses a body that is not JSON', async () => {
    const { url } = await startGateway();
    const { status, json } = await call(`${url}/direct/payin/mpesa-ke`, { method: 'POST', body: '{"amount":' });
    expect([status, json['errorCode']]).toEqual([400, 'bad_request']);
  });

  it('requires a reconciliationReference for tax payouts only', async () => {
    const { url } = await startGateway();
    const tax = await call(`${url}/direct/taxpayout/mpesa-ke`, { method: 'POST', body: startBody() });
    expect([tax.status, tax.json['errorCode']]).toEqual([400, 'validation_failed']);
    expect((await startPayin(url)).status).toBe(200);
  });

  it('accepts only HTTPS addresses if told to be as strict as the gateway', async () => {
    const { url } = await startGateway({ requireHttps: true });
    expect((await startPayin(url)).status).toBe(400);
    expect((await startPayin(url, { resultUrl: 'https://127.0.0.1:9/' })).status).toBe(200);
  });

  it('serves its paths below the base path only', async () => {
    const { url } = await startGateway({ basePath: '/gateway/mmo/v2' });
    expect(url).toMatch(/\/gateway\/mmo\/v2$/);
    expect((await startPayin(url)).status).toBe(200);
    const outside = await startPayin(new URL('/', url).origin, { merchantReference: 'other' });
    expect([outside.status, outside.json['errorCode']]).toEqual([404, 'not_found']);
  });
});

describe('keys', () => {
  it('accepts either key of a rotation window, refuses every other with 401, and counts the refusals', async () => {
    const { gateway, url } = await startGateway({ keys: ['new-key-0123456789', 'old-key-0123456789'] });
    const statusWith = async (key: string) => (await call(`${url}/status/unknown`, { key })).status;
    expect(await statusWith('new-key-0123456789')).toBe(404);
    expect(await statusWith('old-key-0123456789')).toBe(404);
    gateway.setKeys(['new-key-0123456789']);
    expect(await statusWith('old-key-0123456789')).toBe(401);
    expect(await statusWith('')).toBe(401);
    const refused = await startPayin(url);
    expect([refused.status, refused.json['errorCode']]).toEqual([401, 'unauthorized']);
    expect(gateway.calls().unauthorized).toBe(3);
  });

  it('sends callbacks with the first key, and with the new one from the rotation on', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    gateway.setKeys(['next-key-0123456789', 'simulator-api-key-0001']);
    await gateway.sendCallback(reference);
    expect(merchant.deliveries().map(({ headers }) => headers['x-api-key'])).toEqual([
      'simulator-api-key-0001',
      'next-key-0123456789',
    ]);
  });
});
