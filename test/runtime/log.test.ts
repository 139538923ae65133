import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createLog } from '../../src/runtime/log.ts';
import { startRedis } from '../support/redis.ts';

test('shows what a Redis error is, and nothing of the command that it answers', async () => {
  await using server = await startRedis();
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => lines.push(line) } });
  const redis = new Redis(server.url);
  await redis.call('lpush', 'text', 'x');
  for (const command of [
    redis.call('set', 'text', '{"msisdn":"+254700000042"}', 'no-such-option'),
    redis.call('auth', 'user', 'hunter2-hunter2'),
  ]) {
    await command.catch((error: unknown) => {
      log.warn({ event: 'test', err: error });
      log.warn({ event: 'test', err: new AggregateError([error], 'several') });
      log.warn({ event: 'test', err: new Error('outer', { cause: error }) });
    });
  }
  redis.disconnect();
  expect(lines).toHaveLength(6);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ err: { message: 'ERR syntax error' } });
  expect(lines.join('')).not.toMatch(/254700000042|hunter2/);
});
