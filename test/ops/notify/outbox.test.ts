// Sending notifications: signed, retried, in order, by one of several processes, also without Redis.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createOutbox } from '../../../src/ops/notify/outbox.ts';
import { createPoster } from '../../../src/ops/notify/post-notification.ts';
import { createSharedNotes } from '../../../src/ops/notify/shared-notes.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { withRedis } from '../../support/with-redis.ts';
import { newQueue } from '../../support/queues.ts';

const secret = `whsec_${Buffer.from('notifications are signed').toString('base64')}`;
const proxies = { HTTP_PROXY: undefined, HTTPS_PROXY: undefined, NO_PROXY: undefined };
const never = new AbortController().signal;
const log = createLog({ level: 'silent' });

const { redis: client } = await withRedis();

interface Got {
  readonly body: string;
  readonly headers: Record<string, string>;
}

/** Answers as `answer` says; undefined: not at all. */
async function startReceiver(answer: (got: Got) => number | undefined = () => 200) {
  const got: Got[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const headers = z.record(z.string(), z.string()).parse(request.headers);
      const one = { body: Buffer.concat(parts).toString(), headers };
      got.push(one);
      const status = answer(one);
      if (status !== undefined) response.writeHead(status).end('ok');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return {
    url: `http://127.0.0.1:${port}/hooks/T0/B0`,
    got,
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

let count = 0;
function notification(type = 'merchant.down', atMs = Date.now()) {
  count += 1;
  const text = 'The endpoint of acme does not answer.';
  const body = { type, severity: 'critical', text, since: new Date(atMs).toISOString(), brand: 'acme' } as const;
  return { id: `msg_${count}`, atMs, body };
}

/** A queue prefix without other notifications. */
const newPlace = (connection = client) => ({
  connection,
  queue: newQueue(),
});

/** The notification parts of one process. */
function teller({ connection, queue }: ReturnType<typeof newPlace>, url: string, now = Date.now) {
  const notes = createSharedNotes(connection, queue);
  const poster = createPoster({ url, secrets: [secret], proxies, now });
  const metrics = createMetrics();
  const outbox = createOutbox({ notes, post: poster.post, metrics, log, now, waitMinMs: 1_000 });
  const outcomes = async () =>
    Object.fromEntries((await metrics.notifications.get()).values.map(({ labels, value }) => [labels.outcome, value]));
  return { notes, outbox, outcomes };
}

test('is signed like deliveries, and has the contract’s fields', async () => {
  const place = newPlace();
  using receiver = await startReceiver();
  const { notes, outbox, outcomes } = teller(place, receiver.url);
  const sent = notification();
  await notes.push(sent);
  await outbox.send(never);
  const [got] = receiver.got;
  expect(new Webhook(secret).verify(got?.body ?? '', got?.headers ?? {})).toEqual(sent.body);
  expect(got?.headers['webhook-id']).toBe(sent.id);
  expect(got?.headers['content-type']).toBe('application/json');
  expect(await outcomes()).toMatchObject({ sent: 1, retried: 0 });
});

test('waits for a receiver that is down, longer each time, then arrives in order, once each', async () => {
  const place = newPlace();
  let isDown = true;
  using receiver = await startReceiver(() => (isDown ? 503 : 200));
  let nowMs = Date.now();
  const { notes, outbox, outcomes } = teller(place, receiver.url, () => nowMs);
  for (const type of ['merchant.down', 'merchant.down.over']) await notes.push(notification(type, nowMs));
  const attempts: number[] = [];
  const begunMs = nowMs;
  for (; nowMs < begunMs + 20 * 3_600_000; nowMs += 60_000) {
    const before = receiver.got.length;
    await outbox.send(never);
    if (receiver.got.length > before) attempts.push(nowMs - begunMs);
  }
  const waits = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  expect(waits).toEqual(waits.toSorted((one, other) => one - other));
  expect(attempts.length).toBeLessThan(40);
  isDown = false;
  const failed = receiver.got.length;
  nowMs += 3_600_000;
  await outbox.send(never);
  await outbox.send(never);
  expect(
    receiver.got.slice(failed).map(({ body }) => z.looseObject({ type: z.string() }).parse(JSON.parse(body)).type),
  ).toEqual(['merchant.down', 'merchant.down.over']);
  expect(new Set(receiver.got.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  expect(await outcomes()).toMatchObject({ sent: 2, given_up: 0 });
});

test('is sent to a receiver that is down as often by many processes as by one', async () => {
  const place = newPlace();
  using receiver = await startReceiver(() => 503);
  const tellers = Array.from({ length: 5 }, () => teller(place, receiver.url));
  await tellers[0]?.notes.push(notification());
  for (const { outbox } of tellers) await outbox.send(never);
  expect(receiver.got).toHaveLength(1);
});

test('is given up after a day', async () => {
  const place = newPlace();
  using receiver = await startReceiver(() => 500);
  const { notes, outbox, outcomes } = teller(place, receiver.url);
  await notes.push(notification('merchant.down', Date.now() - 86_400_001));
  await outbox.send(never);
  expect(receiver.got).toEqual([]);
  expect(await outcomes()).toMatchObject({ given_up: 1 });
  expect(await notes.head()).toBeUndefined();
});

test('does not wait for a slow receiver once the process stops, and keeps what was not taken', async () => {
  const place = newPlace();
  using receiver = await startReceiver(() => undefined);
  const { notes, outbox } = teller(place, receiver.url);
  const kept = notification();
  await notes.push(kept);
  const stop = new AbortController();
  const sending = outbox.send(stop.signal);
  while (receiver.got.length === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await sending;
  expect((await notes.head())?.notification).toEqual(kept);
});

test('is sent once, whichever of many processes sends', async () => {
  const place = newPlace();
  using receiver = await startReceiver();
  const tellers = Array.from({ length: 5 }, () => teller(place, receiver.url));
  for (let sent = 0; sent < 10; sent += 1) await tellers[0]?.notes.push(notification());
  while ((await tellers[0]?.notes.head()) !== undefined)
    await Promise.all(tellers.map(({ outbox }) => outbox.send(never)));
  expect(receiver.got).toHaveLength(10);
});

test('is created by one process only, the first to see the change', async () => {
  const place = newPlace();
  using receiver = await startReceiver();
  const { notes } = teller(place, receiver.url);
  const passed = await Promise.all(
    Array.from({ length: 5 }, () => notes.pass('merchant.down|acme', undefined, { isOn: true }, notification())),
  );
  expect(passed.filter(Boolean)).toHaveLength(1);
});

test('shows its text where a Slack-compatible webhook looks, and the text alone where the rest is refused', async () => {
  const place = newPlace();
  const payload = z.looseObject({ text: z.string().min(1), type: z.string().optional() });
  // As Mattermost does: a post's type must begin with custom_.
  using mattermost = await startReceiver(({ body }) =>
    payload.parse(JSON.parse(body)).type === undefined ? 200 : 400,
  );
  const { notes, outbox, outcomes } = teller(place, mattermost.url);
  for (let sent = 0; sent < 2; sent += 1) await notes.push(notification());
  await outbox.send(never);
  expect(mattermost.got.map(({ body }) => Object.keys(payload.parse(JSON.parse(body))).toSorted())).toEqual([
    ['brand', 'severity', 'since', 'text', 'type'],
    ['text'],
    ['text'],
  ]);
  expect(await outcomes()).toMatchObject({ sent: 2, retried: 0 });
});

test('is sent by this process alone while Redis is down', async () => {
  const away = new Redis({ port: 1, lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => null });
  away.on('error', () => undefined);
  using receiver = await startReceiver();
  const { outbox, outcomes } = teller(newPlace(away), receiver.url);
  outbox.keep(notification('redis.down'));
  await expect(outbox.send(never)).rejects.toThrow(/closed|writeable|ECONNREFUSED/); // what waits in Redis cannot be read
  expect(receiver.got).toHaveLength(1);
  expect(await outcomes()).toMatchObject({ sent: 1 });
});
