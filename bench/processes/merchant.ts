// A merchant that answers 200 at once, or after the delay given as second argument (ms). It uses raw sockets to save CPU
// time.
//
// Any `GET` returns the counts since the last `GET`: deliveries, the times of the first and the last one, and their
// latencies since `sentAt`.
import { createServer } from 'node:net';
import * as z from 'zod';
import { preciseNowMs, sentAtOf } from '../callback-text.ts';
import { percentile } from '../statistics.ts';

export const merchantCountsSchema = z.object({
  deliveries: z.number(),
  firstAtMs: z.number(),
  lastAtMs: z.number(),
  /** Null if no delivery had a `sentAt`. */
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
});

const answer = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}';

function listen(port: number, answerMs: number): void {
  let deliveries = 0;
  let firstAtMs = 0;
  let lastAtMs = 0;
  let waits: number[] = [];

  createServer({ noDelay: true }, (socket) => {
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      const head = received.indexOf('\r\n\r\n');
      if (head < 0) return;
      if (received.startsWith('GET')) {
        received = '';
        socket.end(counts());
        return;
      }
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (received.length < head + 4 + length) return;
      count(received.slice(head + 4));
      received = '';
      if (answerMs === 0) socket.write(answer);
      else setTimeout(() => socket.write(answer), answerMs);
    });
    socket.on('error', () => socket.destroy());
  }).listen(port, '127.0.0.1');

  function count(body: string): void {
    lastAtMs = preciseNowMs();
    if (deliveries === 0) firstAtMs = lastAtMs;
    deliveries += 1;
    const sentAtMs = sentAtOf(body);
    if (sentAtMs !== undefined) waits.push(lastAtMs - sentAtMs);
  }

  function counts(): string {
    const p = (share: number) => (waits.length === 0 ? null : percentile(waits, share));
    const body = JSON.stringify({ deliveries, firstAtMs, lastAtMs, p50Ms: p(0.5), p99Ms: p(0.99) });
    [deliveries, waits] = [0, []];
    return `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  }
}

if (import.meta.main) listen(Number(process.argv[2]), Number(process.argv[3] ?? 0));
