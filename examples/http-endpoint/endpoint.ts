// A merchant's HTTP endpoint: verifies the signature over the raw body, acts once per webhook-id, and only then answers 200.
// Anything but a 2xx makes the service try again later, so an error here loses nothing.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { openOrders } from '../orders.ts';

const secret = process.env['FORWARD_SECRET'];
if (secret === undefined) throw new Error('Set FORWARD_SECRET to the secret that the service signs with.');
const webhook = new Webhook(secret);
const bookOnce = openOrders();

const server = createServer((request, response) => {
  text(request)
    .then((body) => take(request.headers, body))
    .then((status) => response.writeHead(status).end())
    .catch((error: unknown) => {
      console.error(error);
      response.writeHead(500).end();
    });
});

server.listen(Number(process.env['PORT'] ?? 4_000), '127.0.0.1', () => console.log('listening', server.address()));

function take(headers: Record<string, string | string[] | undefined>, body: string): number {
  const header = (name: string) => String(headers[name] ?? '');
  try {
    // Verify the raw body: parsing and re-serializing it would change the signature.
    webhook.verify(body, {
      'webhook-id': header('webhook-id'),
      'webhook-timestamp': header('webhook-timestamp'),
      'webhook-signature': header('webhook-signature'),
    });
  } catch {
    console.error('Refused: not signed with our FORWARD_SECRET, or over five minutes ago.');
    return 401;
  }
  const { status }: { status: string } = JSON.parse(body);
  const gatewayReference = decodeURIComponent(header('payalo-gateway-reference'));
  const sequence = Number(header('payalo-sequence'));
  // Book the payment: yours goes into bookOnce. In the body, `merchantReference` is your order's number, and `finalAmount` what was
  // paid: compare it with what the order costs before anything is sent.
  const isNew = bookOnce({ webhookId: header('webhook-id'), sequence, gatewayReference, status });
  console.log(isNew ? 'booked' : 'known', gatewayReference, status);
  return 200;
}
