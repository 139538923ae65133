// The Python merchant, with PyPI's bullmq in a virtual environment of its own.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endWithThisProcess } from '../support/end-with-this-process.ts';
import { webhookIdOfJob } from '../../src/callback/job.ts';
import { createRig, jobData, terminalWebhookId } from '../deliver/rig.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';

const example = path.resolve(import.meta.dirname, '../../examples/python-worker');
const works = (args: string[]) => spawnSync('python3', args, { stdio: 'ignore' }).status === 0;
const hasPython = works(['-m', 'pip', '--version']) && works(['-c', 'import venv, ensurepip']);

const { server: redis } = await withRedis({ durable: false });
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'python-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

test('python-worker consumes the queue, books once, and derives the same webhook-id', async (context) => {
  context.skip(!hasPython, 'there is no Python 3 with pip and venv');
  const python = path.join(dir, 'venv', 'bin', 'python');
  run('python3', ['-m', 'venv', path.join(dir, 'venv')]);
  run(python, ['-m', 'pip', 'install', '--quiet', '-r', path.join(example, 'requirements.txt')]);

  const orders = path.join(dir, 'orders.sqlite');
  await using rig = await createRig(redis);
  const worker = spawn(python, [path.join(example, 'worker.py')], {
    env: { PATH: process.env['PATH'], ORDERS_FILE: orders, REDIS_URL: redis.url, QUEUE_NAME: rig.queue.name },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithThisProcess(worker);
  let output = '';
  worker.stdout.on('data', (data) => {
    output += String(data);
  });
  await until(() => output.includes('working'), { timeoutMs: 30_000 });
  const first = await rig.add({ gatewayReference: 'заказ "№1"\n' });
  await rig.settled(first);
  await rig.settled(await rig.add({ gatewayReference: 'заказ "№1"\n' }));
  await rig.settled(await rig.add({ gatewayReference: 'заказ "№1"\n', sequence: 1, status: 'failed' }));
  const results = [
    { gatewayReference: 'заказ "№2"\n', status: 'failed', finalAmount: null },
    { gatewayReference: 'заказ "№2"\n', status: 'success', finalAmount: '100.5 KES' },
  ];
  for (const result of results) await rig.settled(await rig.add(result));
  await until(() => output.match(/^(booked|known)/gm)?.length === 5);
  expect(output.match(/^(booked|known)/gm)).toEqual(['booked', 'known', 'booked', 'booked', 'booked']);

  const database = new DatabaseSync(orders, { readOnly: true });
  const rows = database.prepare('SELECT webhook_id FROM processed').all();
  expect(rows.map((row) => row['webhook_id']).toSorted()).toEqual(
    [
      terminalWebhookId('заказ "№1"\n'),
      terminalWebhookId('заказ "№1"\n', 1),
      ...results.map((result) => webhookIdOfJob(jobData(result))),
    ].toSorted(),
  );
  expect(
    database
      .prepare('SELECT status FROM orders')
      .all()
      .map(({ status }) => status),
  ).toEqual(['failed', 'success']);
  database.close();
  worker.kill('SIGTERM');
});

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${stderr}`);
}
