// The package as another project uses it: packed, installed outside the checkout, run by plain Node.
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { withRedis } from '../support/with-redis.ts';
import { createRig } from './rig.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

const root = path.resolve(import.meta.dirname, '../..');

let project: string;
const { server: redis } = await withRedis({ durable: false });

beforeAll(async () => {
  project = await mkdtemp(path.join(tmpdir(), 'installed-'));
  run('npm', ['pack', '--silent', '--pack-destination', project], root);
  const [tarball = ''] = await readdir(project);
  await writeFile(path.join(project, 'package.json'), '{ "type": "module", "private": true }');
  run('npm', ['install', '--silent', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`], project);
});
afterAll(async () => {
  await rm(project, { recursive: true, force: true });
});

function run(command: string, args: string[], cwd: string, env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

test('another project imports createCallbackWorker and handles a callback with it', async () => {
  await using rig = await createRig(redis);
  const job = await rig.add({ gatewayReference: 'packed', body: '{"amount":100.00}' });
  await writeFile(
    path.join(project, 'worker.js'),
    `import { createCallbackWorker, PermanentError, jobName } from 'payalo-receiver';
    const connection = { url: process.env.REDIS_URL };
    const worker = createCallbackWorker((callback) => {
      console.log(jobName, callback.transaction.amount, typeof PermanentError);
      void worker.close();
    }, { connection, queueName: process.env.QUEUE_NAME });`,
  );
  const env = { REDIS_URL: redis.url, QUEUE_NAME: rig.queue.name };
  expect(run(process.execPath, ['worker.js'], project, env)).toBe('callback 100.00 function\n');
  await rig.settled(job);
});

test('a merchant books once with the inbox, which does not load the service', async () => {
  await writeFile(
    path.join(project, 'shop.js'),
    `import { DatabaseSync } from 'node:sqlite';
    import { createInbox } from 'payalo-receiver/inbox';
    const database = new DatabaseSync(':memory:');
    const inbox = createInbox({ dialect: 'sqlite' });
    database.exec(inbox.migration);
    const delivery = { webhookId: 'msg_1', gatewayReference: 'b2p1', sequence: '0' };
    let booked = 0;
    const outcomes = [];
    for (let n = 0; n < 2; n += 1) outcomes.push(await inbox.once(database, delivery, () => void (booked += 1)));
    console.log(...outcomes, booked);`,
  );
  const quiet = { NODE_OPTIONS: '--disable-warning=ExperimentalWarning' };
  expect(run(process.execPath, ['shop.js'], project, quiet)).toBe('done duplicate 1\n');
});

test('its types check in a strict project, and it contains the JSON Schema and the program', async () => {
  await writeFile(
    path.join(project, 'handler.ts'),
    `import type { CallbackHandler } from 'payalo-receiver';
    import { createInbox, type PostgresClient } from 'payalo-receiver/inbox';
    export const once = (client: PostgresClient) =>
      createInbox({ dialect: 'postgres' }).once(client, { webhookId: 'a', gatewayReference: 'b', sequence: 0 }, () => undefined);
    const handler: CallbackHandler = ({ body, attempt, transaction, signal }) => {
      const text: string = body;
      const number: number = attempt;
      // @ts-expect-error: it is unknown until it is checked
      const amount: string = transaction['finalAmount'];
      signal.throwIfAborted();
      return [text, number, amount];
    };
    export default handler;`,
  );
  await cp(path.join(root, 'node_modules', '@types'), path.join(project, 'node_modules', '@types'), {
    recursive: true,
  });
  await cp(path.join(root, 'node_modules', 'undici-types'), path.join(project, 'node_modules', 'undici-types'), {
    recursive: true,
  });
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const flags = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--types',
    'node',
  ];
  expect(run(process.execPath, [tsc, ...flags, 'handler.ts'], project)).toBe('');
  const schema = `import schema from 'payalo-receiver/job.schema.json' with { type: 'json' }; console.log(schema.title);`;
  expect(run(process.execPath, ['--input-type=module', '--eval', schema], project)).toContain('payalo-receiver job');
  expect(run('npx', ['--no-install', 'payalo-receiver', '--help'], project)).toMatch(/replay/);
});

test('the compiled service loads completely, and reports what its configuration lacks', () => {
  const main = path.join(project, 'node_modules', 'payalo-receiver', 'dist', 'src', 'main.js');
  const { status, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    cwd: project,
    encoding: 'utf8',
    env: {},
  });
  expect(stderr).toMatch(/^PAYALO_API_KEYS: /);
  expect(status).toBe(78);
});
