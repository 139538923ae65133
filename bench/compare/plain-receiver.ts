// A receiver as a team would write it in a day with BullMQ: the handler adds a job, a worker in the same process calls
// the merchant. Deduplicates by a separate key or, as is usually advised, by the job's id.
import { Queue, Worker } from 'bullmq';
import { fastify } from 'fastify';
import { Redis } from 'ioredis';
import * as z from 'zod';
import { environment } from './environment.ts';

const { PORT, REDIS_URL, MERCHANT_URL, API_KEY } = environment.parse(process.env);
const way = z.enum(['key', 'job-id']).parse(process.argv[2]);
const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue<Callback>('plain', { connection: redis });
const rememberSeconds = 14 * 86_400;
const retries = { attempts: 12, backoff: { type: 'exponential', delay: 1_000 } };
const deliverMs = 15_000;

type Callback = z.infer<typeof body>;
const body = z.looseObject({ gatewayReference: z.string() });

const worker = new Worker<Callback>(
  queue.name,
  async ({ data }) => {
    const response = await fetch(MERCHANT_URL, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'payalo-gateway-reference': data.gatewayReference },
      body: JSON.stringify(data),
      signal: AbortSignal.timeout(deliverMs),
    });
    if (!response.ok) throw new Error(`the merchant answered ${response.status}`);
  },
  { connection: new Redis(REDIS_URL, { maxRetriesPerRequest: null }), concurrency: 50 },
);
redis.on('error', () => undefined);
queue.on('error', () => undefined);
worker.on('error', () => undefined);

const app = fastify();
app.post('/webhooks/payalo', async (request, reply) => {
  if (request.headers['x-api-key'] !== API_KEY) return reply.code(401).send({ status: 'refused' });
  const callback = body.parse(request.body);
  if (way === 'job-id')
    await queue.add('callback', callback, { ...retries, jobId: `ref-${callback.gatewayReference}` });
  else return addOnce(callback);
  return { status: 'ok' };
});
await app.listen({ host: '127.0.0.1', port: PORT });

async function addOnce(callback: Callback) {
  const seenKey = `plain:seen:${callback.gatewayReference}`;
  if ((await redis.get(seenKey)) !== null) return { status: 'ok', duplicate: true };
  await queue.add('callback', callback, retries);
  await redis.set(seenKey, '1', 'EX', rememberSeconds);
  return { status: 'ok' };
}
