// Redaction as a second line of defence, and no lost line however a process ends.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createLog } from '../../src/telemetry/log.ts';
import { startRedis } from '../support/redis.ts';

function linesOf(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  write(createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } }));
  return lines;
}

test('writes no key, body or phone number, however deeply nested by mistake', () => {
  const mistaken = {
    notice: 'a mistake',
    body: 'secret',
    apiKey: 'secret',
    request: {
      headers: { 'x-api-key': 'secret', authorization: 'secret', accept: '*/*' },
      payer: [{ msisdn: 'secret' }],
    },
    err: Object.assign(new Error('failed'), { code: 'E_FAILED', request: { body: 'secret' } }),
  };
  const [line] = linesOf((log) => log.info({ event: 'service.notice', ...mistaken }));
  expect(JSON.stringify(line)).not.toContain('secret');
  expect(line).toMatchObject({
    event: 'service.notice',
    request: { headers: { accept: '*/*' } },
    err: { type: 'Error', message: 'failed', code: 'E_FAILED', stack: expect.stringContaining('log.test') },
  });
});

test('keeps the cause of an error, and values with toJSON', () => {
  const cause = new TypeError('the reason');
  const fields = { err: new Error('failed', { cause }), at: new Date(0), list: [1, null] };
  const [line] = linesOf((log) => log.warn({ event: 'retention.failed', ...fields }));
  expect(line).toMatchObject({ level: 'warn', at: '1970-01-01T00:00:00.000Z', list: [1, null] });
  expect(JSON.stringify(line)).toContain('the reason');
});

/** What a process writes that logs three lines in one turn and then does this. */
function outputBefore(end: string): string {
  const module = JSON.stringify(path.resolve('src/telemetry/log.ts'));
  const code = `import { createLog } from ${module};
    const log = createLog({ level: 'info' });
    for (const n of [1, 2, 3]) log.info({ event: 'line', n, text: 'x'.repeat(40_000) });
    ${end}`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8', maxBuffer: 1e7 })
    .stdout;
}

test.each([
  ['returns', ''],
  ['exits at once', 'process.exit(1);'],
  ['dies of an exception', 'throw new Error("unexpected");'],
  ['dies of a rejection', 'await Promise.reject(new Error("unexpected"));'],
])('has written every line when the process %s', (_, end) => {
  const lines = outputBefore(end).trimEnd().split('\n');
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([{ n: 1 }, { n: 2 }, { n: 3 }]);
});

test('shows a Redis error without the command that it answers', async () => {
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
      log.warn({ event: 'retention.failed', err: error });
      log.warn({ event: 'retention.failed', err: new AggregateError([error], 'several') });
      log.warn({ event: 'retention.failed', err: new Error('outer', { cause: error }) });
    });
  }
  redis.disconnect();
  expect(lines).toHaveLength(6);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ err: { message: 'ERR syntax error' } });
  expect(lines.join('')).not.toMatch(/254700000042|hunter2/);
});
