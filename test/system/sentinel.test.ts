// Redis behind real Sentinels: the primary is lost under load, and no acknowledged callback with it; the ways to log in.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { testKey } from '../support/callbacks.ts';
import { makeCertificates } from '../support/certificates.ts';
import { elapsedMs, failuresOf, startLoad } from '../support/load.ts';
import { startMerchant, untilDelivered } from '../support/merchant.ts';
import { startSentinelSet } from '../support/sentinel.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';

const ackBudgetMs = 1_500;
const patience = { timeoutMs: 60_000 };

for (const [what, signal] of [
  ['killed', 'SIGKILL'],
  ['frozen', 'SIGSTOP'],
] as const) {
  test(`a primary that is ${what} under load costs no acknowledged callback and makes no answer late`, async () => {
    await using redis = await startSentinelSet();
    await using merchant = await startMerchant();
    await using service = await startService({
      env: {
        PAYALO_API_KEYS: testKey,
        REDIS_URL: redis.url,
        REDIS_WAIT_REPLICAS: '1',
        ACK_BUDGET: `${ackBudgetMs}ms`,
        FORWARD_URL: merchant.url,
      },
    });
    const load = startLoad({ targets: [service.url] });
    await until(() => load.answers.length >= 100, patience);
    const primary = await redis.primary();
    await primary.kill(signal);
    await redis.failedOverFrom(primary);
    // The service is on the new primary once it delivers what came after the failover.
    const since = load.answers.length;
    await until(() => load.answers.slice(since).some(({ reference }) => merchant.hasGot(reference)), patience);
    if (signal === 'SIGSTOP') await primary.kill('SIGCONT'); // a former primary that still thinks it is one
    const thawedAt = load.answers.length;
    await until(() => load.answers.length >= thawedAt + 100, patience);
    const sent = await load.stop();

    expect(failuresOf(sent)).toEqual([]);
    expect(sent.filter((answer) => elapsedMs(answer) > ackBudgetMs + 2_000)).toEqual([]);
    await untilDelivered(sent, merchant, patience);
  });
}

test('speaks TLS to the Sentinels and to the servers they name', async () => {
  const tls = await makeCertificates();
  await using redis = await startSentinelSet({ tls });
  await using merchant = await startMerchant();
  await using service = await startService({
    env: {
      PAYALO_API_KEYS: testKey,
      REDIS_URL: redis.url,
      REDIS_WAIT_REPLICAS: '1',
      FORWARD_URL: merchant.url,
      NODE_EXTRA_CA_CERTS: tls.authority,
    },
  });
  const load = startLoad({ targets: [service.url] });
  await until(() => load.answers.length >= 10, patience);
  const sent = await load.stop();
  expect(failuresOf(sent)).toEqual([]);
  await untilDelivered(sent, merchant, patience);
});

describe('Sentinels', () => {
  const redisLogin = { username: 'payalo', password: 'the-password-of-redis' };
  const ownPassword = 'the-password-of-sentinels';

  const own = { SENTINEL_PASSWORD: ownPassword };
  const least = /`(\+sentinel\|.+?)`/.exec(readFileSync('docs/deployment.md', 'utf8'))?.[1] ?? 'not documented';

  test.for([
    { name: 'a password of their own', set: { redisLogin, sentinelPassword: ownPassword }, env: own },
    { name: 'a password, before servers without one', set: { sentinelPassword: ownPassword }, env: own },
    { name: 'the password of the servers', set: { redisLogin, sentinelPassword: redisLogin.password }, env: {} },
    { name: 'no login, before servers with a user', set: { redisLogin }, env: {} },
    {
      name: 'a user of their own, who may do the least',
      set: {
        redisLogin,
        sentinelPassword: 'the-password-of-operators',
        sentinelUser: `eye on >${ownPassword} ${least}`,
      },
      env: { ...own, SENTINEL_USERNAME: 'eye' },
    },
  ])('with $name lead to the primary, also to the next one', async ({ set, env }) => {
    await using redis = await startSentinelSet(set);
    await using merchant = await startMerchant();
    await using service = await startService({
      env: {
        PAYALO_API_KEYS: testKey,
        REDIS_URL: redis.url,
        FORWARD_URL: merchant.url,
        ...env,
      },
    });
    const load = startLoad({ targets: [service.url] });
    await until(() => load.answers.some(({ reference }) => merchant.hasGot(reference)), patience);
    const primary = await redis.primary();
    await primary.kill('SIGKILL');
    await redis.failedOverFrom(primary);
    const since = load.answers.length;
    await until(() => load.answers.slice(since).some(({ reference }) => merchant.hasGot(reference)), patience);
    expect(failuresOf(await load.stop())).toEqual([]);
    expect(service.output()).not.toMatch(/the-password-of/);
  });

  test('with another password than the one set cost no callback, are named in the log, and hold up no stop', async () => {
    await using redis = await startSentinelSet({ sentinelPassword: ownPassword });
    await using service = await startService({
      env: { PAYALO_API_KEYS: testKey, REDIS_URL: redis.url, SENTINEL_PASSWORD: 'another-password' },
    });
    const load = startLoad({ targets: [service.url] });
    await until(() => load.answers.length >= 5, patience);
    expect(failuresOf(await load.stop())).toEqual([]);
    const down = service.logs.filter(({ event }) => event === 'redis.down');
    expect(down.map(({ reason }) => String(reason))).toContainEqual(expect.stringContaining('WRONGPASS'));
    expect((await service.stop()).code).toBe(0);
  });
});
