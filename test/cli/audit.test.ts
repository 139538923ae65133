// `audit`: the actions of people and commands, exported as a table, as CSV and as JSON; they are always logged, too.
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createAudit } from '../../src/ops/audit.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { testKey } from '../support/callbacks.ts';
import { runCli } from '../support/cli.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const { server: redis } = await withRedis();
let stored: StoredCallbacks;
let env: Record<string, string>;
const lines: string[] = [];

beforeAll(async () => {
  stored = createStoredCallbacks(redis.url, 'default', '{audit}');
  env = {
    REDIS_URL: redis.url,
    QUEUE_NAME: 'callbacks',
    QUEUE_PREFIX: '{audit}',
    PAYALO_API_KEYS: testKey,
    SPOOL_DIR: path.join(await makeTempDir('audit'), 'spool'),
  };
});

afterAll(async () => {
  await stored[Symbol.asyncDispose]();
});

/** With LOG_LEVEL=fatal. */
const audit = ({ redis: client, queue }: StoredCallbacks, nowMs = Date.now()) =>
  createAudit({
    redis: client,
    queues: [queue],
    log: createLog({ level: 'fatal', destination: { write: (line) => void lines.push(line) } }),
    now: () => nowMs,
  });
const actor = { name: 'amina', address: '127.0.0.1' };
const document = z.object({ data: z.array(z.looseObject({ by: z.string(), action: z.string(), target: z.string() })) });

test('exports the actions of people and commands, oldest first, in each format', async () => {
  await audit(stored).record({ ...actor, via: 'sso' }, 'quarantine.release', '=HYPERLINK("http://evil")', 'a, "b"');
  const replay = await runCli(['replay', 'never-there'], env);
  expect(replay.out).not.toContain('operator.action');
  await runCli(['spool', 'drain'], env);

  const asJson = await runCli(['audit', '--from', '1h', '--json'], env);
  expect(asJson.code).toBe(0);
  expect(document.parse(JSON.parse(asJson.out)).data).toMatchObject([
    { by: 'amina', via: 'sso', action: 'quarantine.release' },
    { by: expect.stringMatching(/^cli:/), action: 'callback.replay', target: 'never-there', result: 'not-found' },
    { by: expect.stringMatching(/^cli:/), action: 'spool.drain', result: 'drained 0, left 0' },
  ]);

  const asCsv = await runCli(['audit', '--from', '1h', '--csv'], env);
  const [head, first] = asCsv.out.split('\r\n');
  expect(head).toBe('at,by,via,address,action,target,result');
  expect(first).toMatch(/,amina,sso,127\.0\.0\.1,quarantine\.release,"'=HYPERLINK\(""http:\/\/evil""\)","a, ""b"""$/);

  const asTable = await runCli(['audit', '--from', '1h'], env);
  expect(asTable.out).toMatch(/^AT +BY +VIA/);
  expect(asTable.out).toContain('callback.replay');
  expect((await runCli(['audit', '--from', '1h', '--to', '30m'], env)).out).toContain('No operator changed anything');
});

test('keeps entries for 400 days', async () => {
  await using other = createStoredCallbacks(redis.url);
  const daysAgo = (days: number) => audit(other, Date.now() - days * 86_400_000);
  await daysAgo(401).record(actor, 'callback.replay', 'too-old', 'replayed');
  await daysAgo(399).record(actor, 'callback.replay', 'old', 'replayed');
  await daysAgo(0).record(actor, 'callback.replay', 'new', 'replayed');
  expect((await audit(other).between(0, Infinity)).map(({ target }) => target)).toEqual(['old', 'new']);
  expect((await audit(other).latest(1)).map(({ target }) => target)).toEqual(['new']);
});

test('appears in the log at any LOG_LEVEL', async () => {
  await audit(stored).record(actor, 'forwarding.pause', 'all brands', 'paused');
  expect(lines.filter((line) => line.includes('operator.action')).at(-1)).toContain('"by":"amina"');
});
