// The upper bound of a durable receiver on Redis: the bare route appends callbacks to one Redis list, and one command
// carries all that arrived while the previous commands were in flight. No job, no deduplication, no log, no metrics.
import { fastify } from 'fastify';
import { Redis } from 'ioredis';
import * as z from 'zod';
import { benchKey } from '../callback-text.ts';

const [port, redisUrl = ''] = process.argv.slice(2);
const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
const body = z.object({ gatewayReference: z.string() });
/** As in the service. */
const [batchSizeMax, callsInFlightMax] = [16, 2];
const waiting: { text: string; stored: () => void }[] = [];
let callsInFlight = 0;

const app = fastify();
app.get('/livez', async () => ({ status: 'ok' }));
app.removeContentTypeParser('application/json');
app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => done(null, text));
app.post<{ Body: string }>('/webhooks/payalo', (request, reply) => {
  const isGenuine = request.headers['x-api-key'] === benchKey && body.safeParse(JSON.parse(request.body)).success;
  if (!isGenuine) return void reply.code(401).send({ status: 'refused' });
  waiting.push({ text: request.body, stored: () => void reply.send({ status: 'ok' }) });
  pump();
});
await app.listen({ host: '127.0.0.1', port: Number(port) });

function pump(): void {
  while (callsInFlight < callsInFlightMax && waiting.length > 0) void append(waiting.splice(0, batchSizeMax));
}

async function append(batch: typeof waiting): Promise<void> {
  callsInFlight += 1;
  await redis.rpush('plain-list', ...batch.map(({ text }) => text));
  callsInFlight -= 1;
  for (const { stored } of batch) stored();
  pump();
}
