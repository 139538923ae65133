// The example merchants, each started as its README says: each books once, even if a callback is delivered twice.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endWithThisProcess } from '../support/end-with-this-process.ts';
import { createRig } from '../deliver/rig.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { booked, deliverAll, ordersIn } from './shop.ts';

const examples = path.resolve(import.meta.dirname, '../../examples');
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

const { server: redis } = await withRedis({ durable: false });
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'examples-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

function startExample(file: string, env: Record<string, string>) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(examples, file)], {
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithThisProcess(child);
  const example = { output: '', kill: () => child.kill() };
  child.stdout.on('data', (data) => {
    example.output += String(data);
  });
  return example;
}

test('http-endpoint verifies the signature, books once, and lets the highest sequence win', async () => {
  const orders = path.join(dir, 'http.sqlite');
  const endpoint = startExample('http-endpoint/endpoint.ts', {
    ORDERS_FILE: orders,
    FORWARD_SECRET: secret,
    PORT: '0',
  });
  const port = await until(() => /port: (\d+)/.exec(endpoint.output)?.[1]);
  const url = `http://127.0.0.1:${port}/payments`;
  await using rig = await createRig(redis, { env: { FORWARD_URL: url, FORWARD_SECRET: secret } });
  await rig.start();
  await deliverAll(rig);
  expect(ordersIn(orders)).toEqual(booked);
  expect(endpoint.output.match(/booked|known/g)).toEqual(['booked', 'known', 'booked', 'known', 'booked', 'booked']);

  const forged = await fetch(url, {
    method: 'POST',
    headers: { 'webhook-id': 'msg_x', 'webhook-timestamp': '1', 'webhook-signature': 'v1,forged' },
    body: '{"status":"success"}',
  });
  expect(forged.status).toBe(401);
  endpoint.kill();
});

test('handler-module books once and lets the highest sequence win', async () => {
  const orders = path.join(dir, 'handler.sqlite');
  process.env['ORDERS_FILE'] = orders;
  const module = path.join(examples, 'handler-module/handler.ts');
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module } });
  await rig.start();
  await deliverAll(rig);
  expect(ordersIn(orders)).toEqual(booked);
  await rig.settled(await rig.add({ status: null }), 'failed');
});

test('queue-worker books once and lets the highest sequence win', async () => {
  const orders = path.join(dir, 'worker.sqlite');
  await using rig = await createRig(redis);
  const env = { ORDERS_FILE: orders, REDIS_URL: redis.url, QUEUE_NAME: rig.queue.name };
  const worker = startExample('queue-worker/worker.ts', env);
  await deliverAll(rig);
  expect(ordersIn(orders)).toEqual(booked);
  worker.kill();
});
