// The load generator, a separate process. It uses raw sockets, builds requests before the clock starts (in an open loop,
// when they are due, because they contain their sending time) and splits answers by length. On a machine with few
// processors it competes with what it measures, so it does little and reports its own CPU time.
//
// Closed loop (no rate): each connection sends its next request when it has its answer. Open loop (a rate): requests
// are due at fixed times; one that finds no free connection waits, and its latency counts from when it was due.
// Prints one JSON line: the answers by status, seconds, and latencies.
import { connect, type Socket } from 'node:net';
import * as z from 'zod';
import { benchKey, callbackText, preciseNowMs, referenceOf } from '../callback-text.ts';
import { percentile } from '../statistics.ts';

export const loadSchema = z.object({
  urls: z.array(z.string()).min(1),
  connections: z.number(),
  requests: z.number(),
  /** The prefix of each reference; distinct for each load. */
  run: z.string(),
  ratePerSecond: z.number().optional(),
});
export type Load = z.infer<typeof loadSchema>;

export const loadResultSchema = z.object({
  statuses: z.record(z.string(), z.number()),
  seconds: z.number(),
  /** This process's CPU time meanwhile. */
  cpuMicroseconds: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  p999Ms: z.number(),
  maxMs: z.number(),
});
export type LoadResult = z.infer<typeof loadResultSchema>;

interface Connection {
  readonly socket: Socket;
  readonly target: URL;
  dueMs: number;
}

const tickMs = 1;
const statusAt = 'HTTP/1.1 '.length;

async function generate(load: Load): Promise<LoadResult> {
  const latencies = new Float64Array(load.requests);
  const statuses: Record<string, number> = {};
  const { promise: finished, resolve: finish, reject: fail } = Promise.withResolvers<undefined>();
  const connections = await Promise.all(Array.from({ length: load.connections }, async (_, index) => open(index)));
  const free: Connection[] = [];
  // All requests go to one path and may share a Host header: no server under test reads it.
  const made = load.ratePerSecond === undefined ? Array.from({ length: load.requests }, (_, at) => requestOf(at)) : [];
  let sent = 0;
  let answered = 0;
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();

  if (load.ratePerSecond === undefined) for (const connection of connections) sendNext(connection, performance.now());
  else {
    free.push(...connections);
    tick(load.ratePerSecond);
  }
  await finished;
  const seconds = (performance.now() - startedMs) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  for (const { socket } of connections) socket.destroy();
  const all = [...latencies];
  return {
    statuses,
    seconds,
    cpuMicroseconds: cpu.user + cpu.system,
    p50Ms: percentile(all, 0.5),
    p99Ms: percentile(all, 0.99),
    p999Ms: percentile(all, 0.999),
    maxMs: percentile(all, 1),
  };

  function sendNext(connection: Connection, dueMs: number): void {
    if (sent === load.requests) return;
    connection.dueMs = dueMs;
    connection.socket.write(made[sent] ?? requestOf(sent));
    sent += 1;
  }

  function requestOf(at: number): Buffer {
    const [url = ''] = load.urls;
    return Buffer.from(requestText(new URL(url), callbackText(referenceOf(load.run, at), preciseNowMs())), 'latin1');
  }

  function tick(ratePerSecond: number): void {
    const now = performance.now();
    while (free.length > 0 && sent < load.requests) {
      const dueMs = startedMs + (sent * 1_000) / ratePerSecond;
      const connection = dueMs <= now ? free.pop() : undefined;
      if (connection === undefined) break;
      sendNext(connection, dueMs);
    }
    if (sent < load.requests) setTimeout(tick, tickMs, ratePerSecond);
  }

  function onAnswer(connection: Connection, status: string): void {
    latencies[answered] = performance.now() - connection.dueMs;
    answered += 1;
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (answered === load.requests) finish(undefined);
    else if (load.ratePerSecond === undefined) sendNext(connection, performance.now());
    else free.push(connection);
  }

  async function open(index: number): Promise<Connection> {
    const target = new URL(load.urls[index % load.urls.length] ?? '');
    const socket = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
    const connection: Connection = { socket, target, dueMs: 0 };
    let received = '';
    let usualBytes = 0;
    socket.on('data', (chunk: Buffer) => {
      // Most answers are a 200 of the same length as the one before; only the others are parsed.
      if (received === '' && chunk.length === usualBytes && is200(chunk)) return onAnswer(connection, '200');
      received += chunk.toString('latin1');
      const head = received.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(received)?.[1];
      if (head < 0 || length === undefined || received.length < head + 4 + Number(length)) return;
      const status = received.slice(statusAt, statusAt + 3);
      usualBytes = received.length;
      received = '';
      onAnswer(connection, status);
    });
    socket.on('error', fail).on('end', () => fail(new Error('The server closed a connection.')));
    await new Promise((resolve) => socket.once('connect', resolve));
    return connection;
  }
}

function is200(answer: Buffer): boolean {
  return answer[statusAt] === 0x32 && answer[statusAt + 1] === 0x30 && answer[statusAt + 2] === 0x30;
}

function requestText({ host, pathname }: URL, body: string): string {
  return (
    `POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nX-API-KEY: ${benchKey}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

if (import.meta.main) {
  console.log(JSON.stringify(await generate(loadSchema.parse(JSON.parse(process.argv[2] ?? '')))));
  process.exit(0);
}
