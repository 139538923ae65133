// A merchant that takes every delivery and keeps the references, for tests that ask whether anything was lost.
import { until, type UntilOptions } from './until.ts';
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
function undelivered(references: Iterable<string>, { deliveries }: Merchant): string[] {
  return [...references].filter((reference) => !deliveries.has(reference));
}

/** Waits for every callback that was sent (each one acknowledged) to be delivered. */
export async function untilDelivered(
  sent: readonly { readonly reference: string }[],
  merchant: Merchant,
  options: UntilOptions = {},
): Promise<void> {
  const references = sent.map(({ reference }) => reference);
  await until(() => undelivered(references, merchant).length === 0, {
    ...options,
    describe: 'every acknowledged callback to be delivered',
  });
}
