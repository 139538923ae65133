import { describe, expect, it } from 'vitest';
import { call, referenceOfPayin, startGateway, startMerchant, startPayin } from './simulators.ts';

describe('an outage', () => {
  it('answers with the given status and Retry-After, before the key check, until it is over', async () => {
    const { gateway, url } = await startGateway();
    gateway.setOutage({ kind: 'answer', status: 503, retryAfterSeconds: 7 });
    const { status, headers, json } = await call(`${url}/status/unknown`, { key: 'wrong' });
    expect([status, headers.get('retry-after'), json['errorCode']]).toEqual([503, '7', 'internal_server_error']);
    expect((await startPayin(url)).status).toBe(503);
    expect(gateway.transactions()).toHaveLength(0);
    expect(gateway.calls()).toMatchObject({ status: 1, start: 1, struckByOutage: 2, unauthorized: 0 });
    gateway.setOutage(null);
    expect((await startPayin(url)).status).toBe(200);
  });

  it('affects as many calls as it was told', async () => {
    const { gateway, url } = await startGateway();
    gateway.setOutage({ kind: 'answer', status: 429, calls: 2 });
    const ask = async () => (await call(`${url}/status/unknown`)).status;
    expect([await ask(), await ask(), await ask()]).toEqual([429, 429, 404]);
  });

  it('affects only the calls that it was told', async () => {
    const { gateway, url } = await startGateway();
    gateway.setOutage({ kind: 'answer', status: 503, on: 'status' });
    expect((await call(`${url}/status/unknown`)).status).toBe(503);
    expect((await call(`${url}/status/mref/unknown`)).status).toBe(503);
    expect((await startPayin(url)).status).toBe(200);
  });

  it('hangs, resets and sends garbage', async () => {
    const { gateway, url } = await startGateway();
    gateway.setOutage({ kind: 'hang', calls: 1 });
    const hangUp = new AbortController();
    const hanging = fetch(`${url}/status/unknown`, { signal: hangUp.signal }).catch(() => 'given up');
    await expect.poll(() => gateway.calls().struckByOutage).toBe(1);
    hangUp.abort();
    expect(await hanging).toBe('given up');
    gateway.setOutage({ kind: 'reset', calls: 1 });
    await expect(fetch(`${url}/status/unknown`)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    gateway.setOutage({ kind: 'garbage', calls: 1 });
    const garbage = await call(`${url}/status/unknown`);
    expect([garbage.status, garbage.headers.get('content-type')]).toEqual([200, 'text/html']);
    expect(gateway.calls()).toMatchObject({ status: 3, struckByOutage: 3 });
  });

  it('lets callbacks continue', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    await referenceOfPayin(url, { resultUrl });
    gateway.setOutage({ kind: 'hang' });
    await gateway.idle();
    expect(merchant.deliveries()).toHaveLength(1);
  });
});

describe('misbehaviour about one transaction', () => {
  const records = (url: string) =>
    call(
      `${url}/records?from=${new Date(Date.now() - 60_000).toISOString()}&to=${new Date(Date.now() + 1).toISOString()}`,
    );

  it('damages its record, and changes its status call, while all others continue', async () => {
    const { gateway, url } = await startGateway();
    const [bad, good] = gateway.addTransactions({ count: 2 }).map(({ gatewayReference }) => gatewayReference);
    gateway.misbehave(bad ?? '', {
      record: { kind: 'bytes', base64: Buffer.from('{ "x": 01 }').toString('base64') },
      status: { kind: 'says', status: 'reversed' },
    });
    const page = await records(url);
    expect(page.text).toContain('{ "x": 01 },\n');
    expect(page.text).toContain(gateway.bodyOf(good ?? ''));
    expect((await call(`${url}/status/${bad}`)).json['status']).toBe('reversed');
    expect((await call(`${url}/status/${good}`)).json['status']).toBe('success');
  });

  it('causes an outage of its status call, or of each page that contains it', async () => {
    const { gateway, url } = await startGateway();
    const [bad] = gateway.addTransactions().map(({ gatewayReference }) => gatewayReference);
    gateway.misbehave(bad ?? '', { record: { kind: 'answer', status: 500 }, status: { kind: 'answer', status: 429 } });
    expect((await records(url)).status).toBe(500);
    expect((await call(`${url}/status/${bad}`)).status).toBe(429);
    gateway.misbehave(bad ?? '', {});
    expect((await records(url)).status).toBe(200);
  });
});

describe('down and up', () => {
  it('refuses connections, then serves the same transactions at the same address', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.down();
    await expect(fetch(`${url}/status/${reference}`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    await gateway.idle();
    expect(merchant.deliveries()).toHaveLength(1);
    expect((await gateway.up()).url).toBe(url);
    expect((await call(`${url}/status/${reference}`)).json['status']).toBe('success');
  });

  it('cuts a call that hangs, and ends scripts that are still running when it closes', async () => {
    const { gateway, url } = await startGateway({ callbackDelayMs: 60_000 });
    const { merchant, url: resultUrl } = await startMerchant();
    await referenceOfPayin(url, { resultUrl });
    gateway.setOutage({ kind: 'hang' });
    const hanging = fetch(`${url}/status/x`).then(
      () => 'answered',
      () => 'cut',
    );
    await expect.poll(() => gateway.calls().struckByOutage).toBe(1);
    await gateway.close();
    expect(await hanging).toBe('cut');
    expect(merchant.deliveries()).toHaveLength(0);
  });

  it('rejects if the port is in use', async () => {
    const { port } = await startGateway();
    await expect(startGateway({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('transactions added at once', () => {
  it('are as old as told, spread, in the state told, and silent', async () => {
    const { gateway } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const createdAt = '2026-01-01T00:00:00Z';
    const added = gateway.addTransactions({
      count: 3,
      createdAt,
      everyMs: 60_000,
      status: 'failed',
      errorCode: 'user_limit_exceeded',
      resultUrl,
    });
    const first = Date.parse(createdAt);
    expect(added.map(({ createdAtMs }) => createdAtMs)).toEqual([first, first + 60_000, first + 120_000]);
    expect(added.map(({ state }) => [state.status, state.errorCode, state.completedAtMs])).toEqual([
      ['failed', 'user_limit_exceeded', first + 1000],
      ['failed', 'user_limit_exceeded', first + 61_000],
      ['failed', 'user_limit_exceeded', first + 121_000],
    ]);
    expect(new Set(added.map(({ gatewayReference }) => gatewayReference)).size).toBe(3);
    await gateway.idle();
    expect(merchant.deliveries()).toHaveLength(0);
  });

  it('send their callbacks when told to', async () => {
    const { gateway } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const added = gateway.addTransactions({ count: 20, resultUrl, callbacks: true });
    await gateway.idle();
    const bodies = merchant.deliveries().map(({ body }) => body.toString());
    expect(bodies.sort()).toEqual(added.map(({ gatewayReference }) => gateway.bodyOf(gatewayReference)).sort());
  });
});

describe('a correction', () => {
  it('changes the gateway’s record, and notifies nobody', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    await gateway.correct(reference, { status: 'failed', errorCode: 'user_cancelled' });
    const { json } = await call(`${url}/status/${reference}`);
    expect(json).toMatchObject({ status: 'failed', errorCode: 'user_cancelled', completionSource: 'manual' });
    expect(merchant.deliveries()).toHaveLength(1);
  });

  it('of the amount is sent as a callback if requested', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const reference = await referenceOfPayin(url, { resultUrl });
    await gateway.idle();
    await gateway.correct(reference, { status: 'success', percentPaid: 25n }, { callback: true });
    const said = merchant
      .deliveries()
      .map(({ body }) => /"finalAmount": +\{ "value": ([\d.]+)/.exec(body.toString())?.[1]);
    expect(said).toEqual(['100.00', '25.00']);
  });

  it('of a missing transaction is an error', async () => {
    const { gateway } = await startGateway();
    await expect(gateway.correct('unknown', { status: 'failed' })).rejects.toThrow('no transaction unknown');
  });
});

it('sends any body with any key on request, and reports the outcome', async () => {
  const { gateway } = await startGateway();
  const { merchant, url: resultUrl } = await startMerchant();
  const [transaction] = gateway.addTransactions({ resultUrl });
  const record = await gateway.sendCallback(transaction?.gatewayReference ?? '', { body: '{"odd":', key: 'wrong' });
  expect(record).toMatchObject({ outcome: 'delivered', httpStatus: 200 });
  expect(merchant.deliveries().map(({ body, headers }) => [body.toString(), headers['x-api-key']])).toEqual([
    ['{"odd":', 'wrong'],
  ]);
});

async function startControlled() {
  const started = await startGateway();
  const send = (method: string, path: string, body?: unknown) =>
    call(`${started.controlUrl}${path}`, {
      method,
      key: '',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return { ...started, send };
}

describe('the control API', () => {
  it('explains itself', async () => {
    const { send } = await startControlled();
    const { text } = await send('GET', '/');
    expect(text).toContain('7001.00');
    expect(text).toContain('PUT    /outage');
  });

  it('rotates keys', async () => {
    const { send, url } = await startControlled();
    expect((await send('PUT', '/keys', { keys: ['rotated-key-0123456789'] })).status).toBe(200);
    expect((await call(`${url}/status/unknown`)).status).toBe(401);
    expect((await call(`${url}/status/unknown`, { key: 'rotated-key-0123456789' })).status).toBe(404);
  });

  it('turns an outage on and off, and is not affected by it', async () => {
    const { send, url } = await startControlled();
    await send('PUT', '/outage', { kind: 'answer', status: 500 });
    expect((await call(`${url}/status/unknown`)).status).toBe(500);
    expect((await send('PUT', '/outage', null)).status).toBe(200);
    expect((await call(`${url}/status/unknown`)).status).toBe(404);
  });

  it('sets chances, adds transactions, and lists the outcomes of their callbacks, newest first', async () => {
    const { send, gateway } = await startControlled();
    const { url: resultUrl } = await startMerchant();
    await send('PUT', '/chances', { lossProbability: 1 });
    await send('POST', '/transactions', { count: 2, resultUrl, callbacks: true, createdAt: '2026-01-01T00:00:00Z' });
    await gateway.idle();
    await send('PUT', '/chances', { lossProbability: 0 });
    const added = await send('POST', '/transactions', {
      resultUrl,
      status: 'failed',
      createdAt: '2026-01-02T00:00:00Z',
    });
    await send('POST', `/transactions/${String(added.json['last'])}/callback`);
    const list: unknown = JSON.parse((await send('GET', '/transactions')).text);
    expect(list).toMatchObject([
      { status: 'failed', callbacks: [{ outcome: 'delivered' }], createdAt: '2026-01-02T00:00:00.000000Z' },
      { status: 'success', callbacks: [{ outcome: 'lost' }] },
      { status: 'success', callbacks: [{ outcome: 'lost' }] },
    ]);
    expect(JSON.parse((await send('GET', '/transactions?status=success&limit=1')).text)).toHaveLength(1);
  });

  it('corrects a transaction', async () => {
    const { send, url } = await startControlled();
    const reference = await referenceOfPayin(url);
    const corrected = await send('POST', `/transactions/${reference}/correction`, {
      status: 'success',
      percentPaid: 50,
    });
    expect(corrected.json).toMatchObject({ status: 'success', finalAmount: { value: '50.00', currency: 'KES' } });
  });

  it('counts calls, resets the counts, and reports the state of the breaker', async () => {
    const { send, url } = await startControlled();
    await call(`${url}/status/unknown`);
    expect((await send('GET', '/calls')).json).toMatchObject({ status: 1 });
    expect((await send('DELETE', '/calls')).json).toMatchObject({ status: 0 });
    expect((await send('GET', '/breaker')).json).toEqual({ state: 'closed' });
  });

  it.each([
    ['PUT', '/outage', { kind: 'flood' }],
    ['PUT', '/transactions/unknown/misbehaviour', { status: { kind: 'lies' } }],
    ['PUT', '/chances', { lossProbability: 2 }],
    ['PUT', '/delay', { ms: -1 }],
    ['PUT', '/limit', { statusCallsPerSecond: 0 }],
    ['POST', '/forgeries', { amount: '1.00' }],
    ['POST', '/transactions/unknown/denial', {}],
    ['PUT', '/keys', {}],
    ['POST', '/transactions', { count: 0 }],
    ['POST', '/transactions', { colour: 'red' }],
    ['POST', '/transactions/unknown/callback', {}],
  ])('refuses %s %s with %j', async (method, path, body) => {
    const { send } = await startControlled();
    const { status, json } = await send(method, path, body);
    expect([status, json['errorCode']]).toEqual([400, 'validation_failed']);
  });
});
