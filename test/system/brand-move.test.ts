// `brand move` on a Redis Cluster: the two brands lie on different primaries, and replicas must confirm the copies.
import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { callbackBody, newReference } from '../support/callbacks.ts';
import { runCli } from '../support/cli.ts';
import { startCluster } from '../support/cluster.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { serviceQueue } from '../support/queues.ts';

const key = 'key-of-nova-0123456789';
const queueOf = (brand: string) => serviceQueue(brand);

test('a brand moves from one primary of a Cluster to another, its ids unchanged', { timeout: 180_000 }, async () => {
  await using redis = await startCluster();
  const owners = await Promise.all(['nova', 'zeta'].map((brand) => redis.ownerOf(keysOf.quarantine(queueOf(brand)))));
  expect(new Set(owners).size).toBe(2);
  const merchant = createMerchantSimulator();
  const common = {
    REDIS_URL: redis.url,
    REDIS_WAIT_REPLICAS: '1',
    GATEWAY_BASE_URL: '',
    FORWARD_URL: (await merchant.listen()).url,
  };
  const send = async (url: string, reference: string) => {
    const headers = { 'x-api-key': key };
    const body = callbackBody({ reference });
    return (await fetch(`${url}/webhooks/payalo`, { method: 'POST', headers, body })).text();
  };
  const delivered = Array.from({ length: 30 }, newReference);
  const waiting = Array.from({ length: 30 }, newReference);
  {
    await using old = await startService({ env: { ...common, PAYALO_API_KEYS: `nova=${key}` } });
    for (const reference of delivered) expect(await send(old.url, reference)).toBe('{"status":"ok"}');
    await until(() => merchant.deliveries().length === delivered.length, { timeoutMs: 30_000 });
    await old.stop();
  }
  {
    await using receiver = await startService({
      roles: ['receive'],
      env: { ...common, PAYALO_API_KEYS: `nova=${key}` },
    });
    for (const reference of waiting) expect(await send(receiver.url, reference)).toBe('{"status":"ok"}');
    await receiver.stop();
  }
  const env = { ...common, PAYALO_API_KEYS: `zeta=${key}` };
  await expect(startService({ env })).rejects.toMatchObject({ exitCode: 78 });
  expect(await runCli(['brand', 'move', 'nova', 'zeta'], env)).toMatchObject({ code: 0, err: '' });
  await using named = await startService({ env });
  await until(() => merchant.deliveries().length === 60, { timeoutMs: 30_000 });
  for (const reference of [...delivered, ...waiting])
    expect(await send(named.url, reference)).toBe('{"status":"ok","duplicate":true}');
  expect(merchant.deliveries().map(({ firstTime }) => firstTime)).toEqual(Array(60).fill(true));
  expect(merchant.deliveriesOf(waiting[0] ?? '')[0]?.headers['payalo-brand']).toBe('zeta');
  await merchant.close();
});
