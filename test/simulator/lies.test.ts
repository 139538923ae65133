// A gateway that denies or reverses transactions, is impersonated, answers late, or limits calls.
import { describe, expect, it } from 'vitest';
import { simulatorKey } from '../../simulator/gateway.ts';
import { call, referenceOfPayin, startGateway, startMerchant, startPayin } from './simulators.ts';

describe('a transaction that changes after its callback', () => {
  it('is denied: unknown to its status calls and in no list, until it is known again', async () => {
    const { gateway, url } = await startGateway();
    const [gone, kept] = gateway.addTransactions({ count: 2 }).map(({ gatewayReference }) => gatewayReference);
    const list = `${url}/records?from=${new Date(Date.now() - 60_000).toISOString()}&to=${new Date(Date.now() + 1_000).toISOString()}`;
    gateway.deny(gone ?? '');
    expect((await call(`${url}/status/${gone}`)).status).toBe(404);
    expect((await call(`${url}/status/mref/bulk-0`)).status).toBe(404);
    expect((await call(list)).text).not.toContain(gone);
    expect((await call(list)).text).toContain(kept);
    gateway.deny(gone ?? '', false);
    expect((await call(`${url}/status/${gone}`)).status).toBe(200);
  });

  it('is reversed, and sends a callback only on request', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const [quiet, told] = gateway.addTransactions({ count: 2, resultUrl }).map((added) => added.gatewayReference);
    await gateway.reverse(quiet ?? '');
    await gateway.reverse(told ?? '', { callback: true });
    expect((await call(`${url}/status/${quiet}`)).json['status']).toBe('reversed');
    expect(merchant.deliveries().map(({ body }) => body.toString())).toEqual([gateway.bodyOf(told ?? '')]);
  });

  it('was forged: the callback carries the genuine key, and the gateway knows nothing of it', async () => {
    const { gateway, url } = await startGateway();
    const { merchant, url: resultUrl } = await startMerchant();
    const forged = await gateway.forge({ resultUrl, amount: '999.00' });
    expect(forged).toMatchObject({ outcome: 'delivered', httpStatus: 200 });
    const [delivery] = merchant.deliveries();
    expect(delivery?.headers['x-api-key']).toBe(simulatorKey);
    expect(delivery?.body.toString()).toMatch(new RegExp(`"success"[^]*${forged.gatewayReference}[^]*999\\.00`));
    expect((await call(`${url}/status/${forged.gatewayReference}`)).status).toBe(404);
    expect(gateway.transactions()).toEqual([]);
  });
});

describe('a gateway under load', () => {
  it('answers late, the calls that it was told', async () => {
    const { gateway, url } = await startGateway();
    gateway.setDelay({ ms: 300, on: 'status' });
    await startPayin(url);
    const started = Date.now();
    await call(`${url}/status/unknown`);
    expect(Date.now() - started).toBeGreaterThanOrEqual(295);
    gateway.setDelay({ ms: 0 });
    expect((await call(`${url}/status/unknown`)).status).toBe(404);
  });

  it('accepts as many status calls as it was told, in bursts of two seconds, until it is told otherwise', async () => {
    const { gateway, url } = await startGateway({ now: () => 0 });
    gateway.setStatusLimit(1);
    const ask = async () => (await call(`${url}/status/unknown`)).status;
    expect([await ask(), await ask(), await ask()]).toEqual([404, 404, 429]);
    gateway.setStatusLimit(null);
    expect(await ask()).toBe(404);
  });
});

it('reverses, denies and forges, slows down and limits', async () => {
  const { url, controlUrl } = await startGateway();
  const send = (method: string, path: string, body: unknown = {}) =>
    call(`${controlUrl}${path}`, { method, key: '', body: JSON.stringify(body) });
  const { merchant, url: resultUrl } = await startMerchant();
  const reference = await referenceOfPayin(url);
  expect((await send('POST', `/transactions/${reference}/reversal`)).json).toMatchObject({ status: 'reversed' });
  expect((await send('POST', `/transactions/${reference}/denial`)).json).toEqual({ denied: true });
  expect((await call(`${url}/status/${reference}`)).status).toBe(404);
  expect((await send('POST', '/forgeries', { resultUrl })).json).toMatchObject({ outcome: 'delivered' });
  expect(merchant.deliveries()).toHaveLength(1);
  expect((await send('PUT', '/delay', { ms: 1, on: 'records' })).status).toBe(200);
  expect((await send('PUT', '/limit', { statusCallsPerSecond: 0.5 })).status).toBe(200);
  expect([(await call(`${url}/status/x`)).status, (await call(`${url}/status/x`)).status]).toEqual([404, 429]);
  expect((await send('PUT', '/limit', null)).status).toBe(200);
});
