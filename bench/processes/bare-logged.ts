// A minimal service of this kind: Fastify with its logger (pino), one route, nothing else loaded.
import { fastify } from 'fastify';

const app = fastify({ logger: true });
app.get('/livez', async () => ({ status: 'ok' }));
app.post('/webhooks/payalo', async () => ({ status: 'ok' }));
await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
