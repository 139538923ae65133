// The upper bound of accepting: a bare Fastify route that reads the same body, parses it, compares the key and answers.
// Nothing is stored.
import { fastify } from 'fastify';
import * as z from 'zod';
import { benchKey } from '../callback-text.ts';

const body = z.object({ gatewayReference: z.string() });
const app = fastify();
app.get('/livez', async () => ({ status: 'ok' }));
app.post('/webhooks/payalo', (request, reply) => {
  const isGenuine = request.headers['x-api-key'] === benchKey && body.safeParse(request.body).success;
  void reply.code(isGenuine ? 200 : 401).send({ status: isGenuine ? 'ok' : 'refused' });
});
await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
