import { expect, test, vi } from 'vitest';
import { ServiceDidNotStart } from './service-process.ts';
import { withRedis } from './with-redis.ts';
import { startService } from './service.ts';

const key = 'a-key-of-at-least-16';
const { server: redis } = await withRedis();

test('listens on a free port and logs it, and stops gracefully on SIGTERM', async () => {
  await using service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS: key, REDIS_URL: redis.url, SHUTDOWN_TIMEOUT: '1s' },
  });
  expect((await fetch(`${service.url}/livez`)).status).toBe(200);
  expect(service.logs).toContainEqual(expect.objectContaining({ event: 'service.started' }));
  expect(await service.stop()).toMatchObject({ code: 0, signal: null });
});

test('an early end is an error that shows the exit code and the output', async () => {
  const error: unknown = await startService({ roles: ['receive'] }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ServiceDidNotStart);
  expect(error).toMatchObject({ exitCode: 78, output: expect.stringContaining('PAYALO_API_KEYS') });
});

test('it inherits nothing from the environment of the tests', async () => {
  vi.stubEnv('PAYALO_API_KEYS', key);
  await expect(startService({ roles: ['receive'] })).rejects.toThrow('PAYALO_API_KEYS');
  vi.unstubAllEnvs();
});
