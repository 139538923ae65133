// The naive implementation: a Fastify handler that asks Redis whether the reference was seen, adds a job to BullMQ, and
// marks the reference as seen. Three round trips; a crash between them loses or duplicates a callback.
import { Queue } from 'bullmq';
import { fastify } from 'fastify';
import { Redis } from 'ioredis';
import * as z from 'zod';
import { benchKey } from '../callback-text.ts';

const [port, redisUrl = ''] = process.argv.slice(2);
const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
const queue = new Queue('plain', { connection: redis });
const body = z.looseObject({ gatewayReference: z.string() });
const rememberSeconds = 14 * 86_400;

const app = fastify();
app.get('/livez', async () => ({ status: 'ok' }));
app.post('/webhooks/payalo', async (request, reply) => {
  if (request.headers['x-api-key'] !== benchKey) return reply.code(401).send({ status: 'refused' });
  const callback = body.parse(request.body);
  const seenKey = `plain:seen:${callback.gatewayReference}`;
  if ((await redis.get(seenKey)) !== null) return { status: 'ok', duplicate: true };
  await queue.add('callback', callback, { attempts: 12, backoff: { type: 'exponential', delay: 5_000 } });
  await redis.set(seenKey, '1', 'EX', rememberSeconds);
  return { status: 'ok' };
});
await app.listen({ host: '127.0.0.1', port: Number(port) });
