// The breaker delays only callbacks that cannot be delivered. It delays no good callback and overrides no operator's limit.
import { expect, test } from 'vitest';
import { defaultBreakerSettings } from '../../src/deliver/breaker/breaker.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { readForwarding, resumeForwarding } from '../../src/store/lifecycle/forwarding.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, type Rig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

const patient = { FORWARD_RETRIES: '10m,10m' };
const isOpen = async (rig: Rig) => (await readForwarding(rig.connection, rig.queue)).breaker === 'open';

/** The merchant refuses every callback whose reference begins with `bad`. */
function failBad(rig: Rig, status: number): void {
  rig.merchant.always(({ headers }) =>
    answer(String(headers['payalo-gateway-reference']).startsWith('bad') ? status : 200),
  );
}

async function addBad(rig: Rig, number: number): Promise<void> {
  for (let index = 0; index < number; index += 1) await rig.add({ gatewayReference: `bad${index}`, type: 'payout' });
}

test.for([
  [12, 500, '50'],
  [12, 500, '1'],
  [40, 502, '4'],
  [12, 503, '50'],
] as const)(
  '%i callbacks that always fail with %i (FORWARD_CONCURRENCY=%s) delay a good one of the same merchant by only a few seconds',
  async ([number, status, FORWARD_CONCURRENCY]) => {
    const env = { ...patient, FORWARD_CONCURRENCY };
    await using rig = await createRig(redis, { env, breakerSettings: defaultBreakerSettings });
    failBad(rig, status);
    await addBad(rig, number);
    const good = await rig.add({ gatewayReference: 'good' });
    await rig.start();
    const done = await rig.settled(good); // the rig waits for 20 s
    expect(done.returnvalue).toMatchObject({ status: 200, attempt: 1 });
  },
);

test.for([
  ['cut off', { kind: 'reset' }],
  ['never answered', { kind: 'hang' }],
] as const)(
  'forty callbacks that are always %s, with FORWARD_CONCURRENCY=4, delay a later good one by only a few seconds',
  async ([, behaviour]) => {
    const env = { ...patient, FORWARD_CONCURRENCY: '4', FORWARD_TIMEOUT: '1s' };
    await using rig = await createRig(redis, { env, breakerSettings: defaultBreakerSettings });
    rig.merchant.always(({ headers }) =>
      String(headers['payalo-gateway-reference']).startsWith('bad') ? behaviour : answer(200),
    );
    await addBad(rig, 40);
    await rig.start();
    await until(async () => isOpen(rig));
    const good = await rig.add({ gatewayReference: 'good' });
    expect((await rig.settled(good)).returnvalue).toMatchObject({ status: 200, attempt: 1 });
  },
);

test('a good callback that arrives long after failing ones have opened the breaker is delivered within seconds', async () => {
  await using rig = await createRig(redis, { env: patient, breakerSettings: defaultBreakerSettings });
  failBad(rig, 500);
  await addBad(rig, 12);
  await rig.start();
  await until(async () => isOpen(rig));
  await until(() => rig.merchant.deliveries().length >= 15, { timeoutMs: 20_000, describe: 'some probes to fail' });
  const good = await rig.add({ gatewayReference: 'good' });
  expect((await rig.settled(good)).returnvalue).toMatchObject({ status: 200, attempt: 1 });
});

test('callbacks that keep failing among good ones do not reopen it, and spend their own attempts', async () => {
  await using rig = await createRig(redis, { env: { FORWARD_RETRIES: '200ms,200ms,200ms' } });
  failBad(rig, 500);
  await addBad(rig, 12);
  await rig.start();
  await until(async () => isOpen(rig));
  for (let index = 0; index < 5; index += 1) await rig.settled(await rig.add({ gatewayReference: `good${index}` }));
  await until(async () => (await rig.bull.getFailedCount()) === 12, { timeoutMs: 20_000 });
  const opened = rig.logs.filter(({ event }) => event === 'breaker.opened');
  expect(opened.length).toBeLessThanOrEqual(2);
});

test('callbacks that were tried while the merchant was down are retried together on its return, not one by one', async () => {
  await using rig = await createRig(redis, { env: patient });
  rig.merchant.always({ kind: 'reset' });
  const jobs = [];
  for (let index = 0; index < 40; index += 1) jobs.push(await rig.add());
  await rig.start();
  await until(async () => (await rig.connection.scard(keysOf.breakerResting(rig.queue))) >= 30);
  rig.merchant.always(answer(200));
  await until(async () => (await rig.bull.getCompletedCount()) >= 36, { timeoutMs: 20_000 });
});

async function limitOf(rig: Rig): Promise<(string | null)[]> {
  return rig.connection.hmget(`${rig.queue.base}:meta`, 'max', 'duration');
}

test("an operator's rate limit is restored when the breaker closes, and caps the probes and the ramp meanwhile", async () => {
  await using rig = await createRig(redis, { env: patient });
  await rig.bull.setGlobalRateLimit(20, 1_000);
  rig.merchant.always(answer(503));
  for (let index = 0; index < 12; index += 1) await rig.add();
  await rig.start();
  await until(async () => isOpen(rig));
  expect(await limitOf(rig)).not.toEqual(['20', '1000']);
  rig.merchant.always(answer(200));
  await until(async () => (await readForwarding(rig.connection, rig.queue)).breaker === 'closed', {
    timeoutMs: 20_000,
  });
  expect(await limitOf(rig)).toEqual(['20', '1000']);
});

test.for([
  ['sets one', async (rig: Rig) => rig.bull.setGlobalRateLimit(7, 3_000), ['7', '3000']],
  ['removes theirs', async (rig: Rig) => rig.bull.removeGlobalRateLimit(), [null, null]],
] as const)('if an operator %s while it is open, that applies once resuming closes it', async ([, change, after]) => {
  await using rig = await createRig(redis, { env: patient });
  await rig.bull.setGlobalRateLimit(20, 1_000);
  rig.merchant.always(answer(503));
  for (let index = 0; index < 12; index += 1) await rig.add();
  await rig.start();
  await until(async () => isOpen(rig));
  await change(rig);
  const noted = async () => rig.connection.hget(keysOf.breaker(rig.queue), 'theirMax');
  await until(async () => (await noted()) === after[0], { describe: 'the change to be stored' });
  rig.merchant.always(answer(200));
  await resumeForwarding(rig.connection, rig.queue);
  await until(async () => (await readForwarding(rig.connection, rig.queue)).breaker === 'closed');
  expect(await limitOf(rig)).toEqual(after);
});

test('a Redis whose clock is set back an hour while the breaker is open delays deliveries by only a few seconds', async () => {
  await using rig = await createRig(redis, { env: patient });
  rig.merchant.always(answer(503));
  for (let index = 0; index < 12; index += 1) await rig.add();
  await rig.start();
  await until(async () => isOpen(rig));
  rig.merchant.always(answer(200));
  // The effect of such a step: every stored time is an hour further in the future.
  const hourMs = 3_600_000;
  const breaker = keysOf.breaker(rig.queue);
  const [heldAt, turnAt] = await rig.connection.hmget(breaker, 'heldAt', 'turnAt');
  await rig.connection.hset(breaker, 'heldAt', Number(heldAt) + hourMs, 'turnAt', Number(turnAt) + hourMs);
  await rig.connection.set(`${rig.queue.base}:limiter`, 1, 'PX', hourMs);
  const good = await rig.add();
  expect((await rig.settled(good)).returnvalue).toMatchObject({ attempt: 1 });
  await until(async () => !(await isOpen(rig)), { timeoutMs: 10_000, describe: 'the backlog to flow again' });
});
