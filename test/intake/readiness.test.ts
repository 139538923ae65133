// While Redis is down, `/readyz` reports whether an ordinary callback can be stored, and no callback is refused while it
// reports ready. Real processes; the balancer of these tests asks before each callback.
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../support/private-redis.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { canFillDisk, makeSmallDisk } from '../support/small-disk.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe('near SPOOL_MAX_BYTES', () => {
  test.for([
    [20_000, '1000000'],
    [1_500, '65536'],
    [200_000, '3000000'],
  ] as const)(
    'no body of %i bytes is refused while ready; smaller ones are still stored',
    async ([bytes, maxBytes]) => {
      const { service } = await start({ SPOOL_MAX_BYTES: maxBytes });
      expect(await postWhileReady(service, bytes)).toBeGreaterThan(5);
      expect(await opsReadiness(service)).toBe(503);
      expect(await post(service, 100)).toBe(200);
      expect(await readiness(service)).toBe(503);
    },
  );

  test('it stays unready after a refusal, until there is room', async () => {
    const { service, port } = await start({ SPOOL_MAX_BYTES: '200000' });
    while ((await post(service, 20_000)) === 200);
    for (let asked = 0; asked < 20; asked += 1) expect(await readiness(service)).toBe(503);
    const server = await startRedis({ port });
    ends.push(() => server.stop());
    await until(async () => (await readiness(service)) === 200);
    expect(await post(service, 20_000)).toBe(200);
    expect(service.logs.map(({ event }) => event)).toEqual(expect.arrayContaining(['spool.full', 'spool.usable']));
  });

  test('a new process learns the size of a callback from the existing entries', async () => {
    const dir = path.join(await makeTempDir('readiness'), 'spool');
    const env = { SPOOL_MAX_BYTES: '200000', SPOOL_DIR: dir };
    const { service: first, port } = await start(env);
    await postWhileReady(first, 20_000);
    first.kill('SIGKILL');
    await first.exited;
    const { service: second } = await start(env, port);
    await until(() => second.logs.some(({ event }) => event === 'spool.adopted'));
    expect(await readiness(second)).toBe(503);
    expect(await post(second, 100)).toBe(200);
  });

  test('a body too large for any spool does not make an empty one unready', async () => {
    const { service } = await start({ SPOOL_MAX_BYTES: '65536' });
    expect(await post(service, 100_000)).toBe(503);
    expect(await readiness(service)).toBe(200);
    expect(await post(service, 1_500)).toBe(200);
  });
});

test.skipIf(!canFillDisk())(
  'on a small disk no body is refused while ready; it is ready again once the disk has room',
  async () => {
    const disk = makeSmallDisk(path.join(await makeTempDir('readiness'), 'disk'), 4);
    ends.push(() => disk.remove());
    const { service } = await start({ SPOOL_DIR: path.join(disk.dir, 'spool') });
    expect(await postWhileReady(service, 20_000)).toBeGreaterThan(20);
    const makeRoom = disk.fill();
    expect(await readiness(service)).toBe(503);
    makeRoom();
    disk.grow(16);
    await until(async () => (await readiness(service)) === 200);
    expect(await post(service, 20_000)).toBe(200);
  },
);

/** How many callbacks were stored until `/readyz` reported unready. */
async function postWhileReady(service: TestService, bytes: number): Promise<number> {
  for (let stored = 0; ; stored += 1) {
    if ((await readiness(service)) !== 200) return stored;
    expect(await post(service, bytes)).toBe(200);
  }
}

async function readiness(service: TestService): Promise<number> {
  return statusOf(fetch(`${service.url}/readyz`));
}

async function opsReadiness(service: TestService): Promise<number> {
  return statusOf(fetch(`${service.opsUrl}/readyz`));
}

async function post(service: TestService, bytes: number): Promise<number> {
  const body = callbackBody({ reference: newReference() }).padEnd(bytes);
  return statusOf(fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body }));
}

async function statusOf(request: Promise<Response>): Promise<number> {
  const response = await request;
  await response.arrayBuffer();
  return response.status;
}

/** An address without a Redis. */
async function start(env: Record<string, string>, known?: number): Promise<{ service: TestService; port: number }> {
  const port = known ?? (await freePort());
  const service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS: testKey, REDIS_URL: `redis://127.0.0.1:${port}`, ACK_BUDGET: '1s', ...env },
  });
  ends.push(() => service[Symbol.asyncDispose]());
  return { service, port };
}
