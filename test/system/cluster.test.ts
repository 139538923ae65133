// A Redis Cluster of three primaries, one brand on each: brands do not affect each other, and a lost primary
// costs no acknowledged callback.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startCluster, type RedisCluster } from '../support/cluster.ts';
import { elapsedMs, failuresOf, startLoad } from '../support/load.ts';
import { startMerchant, untilDelivered, type Merchant } from '../support/merchant.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { serviceQueue } from '../support/queues.ts';

/** Chosen so that the slots of their hash tags fall to three primaries. */
const brands = ['nova', 'zeta', 'bolt'] as const;
const keyOf = (brand: string) => `key-of-${brand}-0123456789`;
const queueOf = (brand: string) => serviceQueue(brand);
const ownerOf = (redis: RedisCluster, brand: string) => redis.ownerOf(keysOf.quarantine(queueOf(brand)));
const ackBudgetMs = 1_500;
const patience = { timeoutMs: 60_000 };

const serviceFor = (redis: RedisCluster, merchant: Merchant, env: Readonly<Record<string, string>> = {}) =>
  startService({
    env: {
      PAYALO_API_KEYS: brands.map((brand) => `${brand}=${keyOf(brand)}`).join(','),
      REDIS_URL: redis.url,
      REDIS_WAIT_REPLICAS: '1',
      ACK_BUDGET: `${ackBudgetMs}ms`,
      FORWARD_URL: merchant.url,
      ...env,
    },
  });

for (const [what, signal] of [
  ['killed', 'SIGKILL'],
  ['frozen', 'SIGSTOP'],
] as const) {
  test(`a primary that is ${what} under load costs no acknowledged callback, makes no answer late, and its brand continues`, async () => {
    await using redis = await startCluster();
    const owners = await Promise.all(brands.map((brand) => ownerOf(redis, brand)));
    expect(new Set(owners).size).toBe(brands.length);
    await using merchant = await startMerchant();
    await using service = await serviceFor(redis, merchant);
    const loads = brands.map((brand) => startLoad({ targets: [service.url], key: keyOf(brand), perSecond: 50 }));
    await until(() => loads.every(({ answers }) => answers.length >= 50), patience);

    const [lost] = owners;
    if (lost === undefined) throw new Error('Every brand has an owner.');
    await lost.kill(signal);
    await until(async () => (await ownerOf(redis, 'nova')) !== lost, { ...patience, describe: 'the failover' });
    const since = loads.map(({ answers }) => answers.length);
    await until(
      () =>
        loads.every(({ answers }, index) =>
          answers.slice(since[index]).some(({ reference }) => merchant.hasGot(reference)),
        ),
      { ...patience, describe: 'every brand to be delivered again' },
    );
    if (signal === 'SIGSTOP') await lost.kill('SIGCONT');
    const thawedAt = loads.map(({ answers }) => answers.length);
    await until(() => loads.every(({ answers }, index) => answers.length >= (thawedAt[index] ?? 0) + 50), patience);
    const sent = (await Promise.all(loads.map((load) => load.stop()))).flat();

    expect(failuresOf(sent)).toEqual([]);
    expect(sent.filter((answer) => elapsedMs(answer) > ackBudgetMs + 2_000)).toEqual([]);
    await untilDelivered(sent, merchant, patience);
  });
}

test('speaks TLS to every node', async () => {
  const tls = await makeCertificates();
  await using redis = await startCluster({ tls });
  await using merchant = await startMerchant();
  await using service = await serviceFor(redis, merchant, { NODE_EXTRA_CA_CERTS: tls.authority });
  const loads = brands.map((brand) => startLoad({ targets: [service.url], key: keyOf(brand) }));
  await until(() => loads.every(({ answers }) => answers.length >= 10), patience);
  const sent = (await Promise.all(loads.map((load) => load.stop()))).flat();
  expect(failuresOf(sent)).toEqual([]);
  await untilDelivered(sent, merchant, patience);
  expect(service.logs.filter(({ event }) => event === 'callback.accepted').length).toBeGreaterThan(0);
});

test('a user with the permissions that docs/deployment.md lists for a Cluster is enough', async () => {
  const docs = readFileSync('docs/deployment.md', 'utf8');
  const rules = /^ACL SETUSER (payalo .+)$/m.exec(docs)?.[1] ?? '';
  const more = /A Cluster needs `(.+?)` as well/.exec(docs)?.[1] ?? 'not documented';
  await using redis = await startCluster({ user: `${rules} ${more}`.split(' ') });
  await using merchant = await startMerchant();
  await using service = await serviceFor(redis, merchant, {
    REDIS_URL: redis.url.replace('://', '://payalo:a-long-password@'),
  });
  // One at a time: while the connection to a primary opens, further callbacks may go to the spool.
  const loads = brands.map((brand) => startLoad({ targets: [service.url], key: keyOf(brand), inFlightMax: 1 }));
  await until(() => loads.every(({ answers }) => answers.length >= 20), patience);
  const sent = (await Promise.all(loads.map((load) => load.stop()))).flat();
  expect(failuresOf(sent)).toEqual([]);
  await untilDelivered(sent, merchant, patience);
  expect(service.logs.filter(({ event }) => event === 'redis.not_permitted')).toEqual([]);
  expect(service.logs.filter(({ event }) => event === 'callback.spooled')).toEqual([]);
  expect((await service.stop()).code).toBe(0);
});
