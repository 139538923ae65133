// The console's own files: a style sheet, a script, an icon. Not secret, so served without a token. Browsers revalidate them
// each time and usually get 304.
import type { FastifyInstance } from 'fastify';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const assets = [
  { name: 'console.css', type: 'text/css; charset=utf-8' },
  { name: 'browser.js', type: 'text/javascript; charset=utf-8' },
  { name: 'icon.svg', type: 'image/svg+xml' },
] as const;

export function serveAssets(app: FastifyInstance): void {
  for (const { name, type } of assets) {
    const content = readFileSync(new URL(`./${name}`, import.meta.url));
    const etag = `"${hash('sha256', content, 'base64url').slice(0, 16)}"`;
    app.get(`/assets/${name}`, { config: { needs: 'nothing' } }, async (request, reply) => {
      void reply.header('cache-control', 'no-cache').header('etag', etag);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(type).send(content);
    });
  }
}
