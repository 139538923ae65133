// A shop's endpoint with Express and TypeScript: verifies the signature over the raw body, and books each payment once with
// payalo-receiver/inbox, in SQLite. Anything but a 2xx makes the receiver try again later, so an error here loses nothing.
import express from 'express';
import { DatabaseSync } from 'node:sqlite';
import { Webhook } from 'standardwebhooks';
import { createInbox } from '../../src/inbox/inbox.ts'; // in a project of your own: payalo-receiver/inbox

const secret = process.env['FORWARD_SECRET'];
if (secret === undefined) throw new Error('Set FORWARD_SECRET to the secret that the receiver signs with.');
const webhook = new Webhook(secret);

const database = new DatabaseSync(process.env['ORDERS_FILE'] ?? 'orders.sqlite');
const inbox = createInbox({ dialect: 'sqlite' });
database.exec(inbox.migration);
database.exec(
  'CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL)',
);
const book = database.prepare(`INSERT INTO orders VALUES (?, ?, ?)
  ON CONFLICT (reference) DO UPDATE SET status = excluded.status, sequence = excluded.sequence`);

const app = express();

// Use the raw body: parsing and re-serializing it would change the signature.
app.post('/payments', express.text({ type: '*/*', limit: '256kb' }), async (request, response) => {
  const header = (name: string) => request.get(name) ?? '';
  const body = String(request.body);
  try {
    webhook.verify(body, {
      'webhook-id': header('webhook-id'),
      'webhook-timestamp': header('webhook-timestamp'),
      'webhook-signature': header('webhook-signature'),
    });
  } catch {
    console.error('Refused: not signed with our FORWARD_SECRET, or over five minutes ago.');
    response.sendStatus(401);
    return;
  }
  const gatewayReference = decodeURIComponent(header('payalo-gateway-reference'));
  const { status }: { status: string } = JSON.parse(body);
  const delivery = { webhookId: header('webhook-id'), gatewayReference, sequence: header('payalo-sequence') };
  const outcome = await inbox.once(database, delivery, () => {
    // Book the payment: yours goes here. In the body, `merchantReference` is your order's number, and `finalAmount` what was paid:
    // compare it with what the order costs before anything is sent.
    book.run(gatewayReference, status, Number(delivery.sequence));
  });
  console.log(outcome, gatewayReference, status);
  response.sendStatus(200);
});

app.listen(Number(process.env['PORT'] ?? 4_000), '127.0.0.1', () => console.log('listening'));
