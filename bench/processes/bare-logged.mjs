// A minimal service of this kind: Fastify with its logger (pino), one route, nothing else loaded but the packages named on the
// command line. JavaScript, like the compiled service: Node's type stripping would take 20 MB.
import { fastify } from 'fastify';

const [port, ...packages] = process.argv.slice(2);
for (const name of packages) await import(name);
const app = fastify({ logger: true });
app.get('/livez', async () => ({ status: 'ok' }));
app.post('/webhooks/payalo', async () => ({ status: 'ok' }));
await app.listen({ host: '127.0.0.1', port: Number(port) });
