// A merchant that takes every delivery and keeps the references, for tests that ask whether anything was lost.
import { once } from 'node:events';
import { createServer } from 'node:http';

export interface Merchant extends AsyncDisposable {
  readonly url: string;
  /** Deliveries by gatewayReference. */
  readonly deliveries: ReadonlyMap<string, number>;
}

export async function startMerchant(): Promise<Merchant> {
  const deliveries = new Map<string, number>();
  const server = createServer((request, response) => {
    const reference = String(request.headers['payalo-gateway-reference']);
    request.resume().on('end', () => {
      deliveries.set(reference, (deliveries.get(reference) ?? 0) + 1);
      response.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/`,
    deliveries,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** References that were acknowledged and not delivered yet. */
export function undelivered(references: Iterable<string>, { deliveries }: Merchant): string[] {
  return [...references].filter((reference) => !deliveries.has(reference));
}
