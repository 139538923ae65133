// The load generator: its two loops, and its two measures of time.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, expect, test } from 'vitest';
import { elapsedMs, startLoad, tookMs } from './load.ts';
import { until } from './until.ts';

const held: (() => void)[] = [];
const server = createServer((request, response) => {
  request.resume();
  held.push(() => response.end());
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
const targets = [`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`];

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

function answerAll(): void {
  for (const answer of held.splice(0)) answer();
}

test('sends at its rate although nothing is answered', async () => {
  const load = startLoad({ targets, callbacksMax: 5 });
  await until(() => held.length === 5);
  expect(load.answers).toEqual([]);
  answerAll();
  expect((await load.ended()).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
});

test('has no more in flight than it may', async () => {
  const load = startLoad({ targets, callbacksMax: 6, inFlightMax: 2, perSecond: 1_000 });
  const inFlight: number[] = [];
  while (load.answers.length < 6) {
    const due = Math.min(2, 6 - load.answers.length);
    await until(() => held.length >= due || load.answers.length === 6);
    inFlight.push(held.length);
    answerAll();
    await load.settled();
  }
  await load.ended();
  expect(Math.max(...inFlight)).toBe(2);
});

test('the time in which this process stood still is part of the whole time only', async () => {
  const load = startLoad({ targets, callbacksMax: 1 });
  await until(() => held.length === 1);
  const standsStillUntilMs = performance.now() + 600;
  while (performance.now() < standsStillUntilMs);
  answerAll();
  const [answer] = await load.ended();
  if (answer === undefined) throw new Error('One was sent.');
  expect(elapsedMs(answer)).toBeGreaterThanOrEqual(600);
  expect(elapsedMs(answer) - tookMs(answer)).toBeGreaterThan(500);
});
