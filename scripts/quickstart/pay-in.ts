// The pay-in of the gateway's quickstart (100.00 KES by M-Pesa Kenya), from its start to the merchant, printed step by
// step with the time since the start. Fails if a step is late or differs from what the product promises.
import { z } from 'zod';
import { inTime, stepMs } from './in-time.ts';
import { untilView } from './callback-view.ts';
import type { Stage } from './stage.ts';
import type { Terminal } from './terminal.ts';

const merchantReference = 'quickstart-001';

const startedSchema = z.object({ status: z.string(), gatewayReference: z.string() });

export async function runPayIn(stage: Stage, terminal: Terminal): Promise<void> {
  const { gateway, onCallback, onDelivery, serviceLog } = stage;
  terminal.heading('A pay-in, its callback, its delivery');
  const startedAtMs = Date.now();
  const step = (name: string, text: string, atMs = Date.now()) => terminal.step(atMs - startedAtMs, name, text);

  // Subscribes before the start, so that no event can come too early.
  const callbackComes = onCallback.next(({ kind }) => kind === 'callback');
  const deliveryComes = onDelivery.next(() => true);

  const { status, gatewayReference } = await startPayIn(stage);
  step('pay-in', `100.00 KES by mpesa-ke, ${merchantReference}: ${status}`);
  terminal.detail(gatewayReference);

  const callback = await inTime(callbackComes, 'The gateway sent no callback');
  if (callback.kind !== 'callback') throw new Error('The gateway reported something other than a callback.');
  const { atMs, tookMs, said, httpStatus, error } = callback.record;
  step('callback', `${said} arrives`, atMs);
  if (httpStatus !== 200) throw new Error(`The service did not accept the callback: ${httpStatus ?? error}.`);

  const delivery = await inTime(deliveryComes, 'The callback did not reach the merchant');
  const storedMs = serviceLog.find(
    (line) => line['event'] === 'callback.accepted' && line['gatewayReference'] === gatewayReference,
  )?.['ms'];
  step('queued', `on disk in Redis${typeof storedMs === 'number' ? ` after ${storedMs} ms` : ''}`, atMs + tookMs);
  step('answered', `200 in ${tookMs} ms`, atMs + tookMs);

  const body = gateway.bodyOf(gatewayReference);
  const isEqual = delivery.body.equals(Buffer.from(body));
  step('delivered', `merchant answers ${delivery.answered}, signature ${delivery.signature}`, delivery.receivedAtMs);
  terminal.detail(`${delivery.body.length} bytes, ${isEqual ? 'equal byte for byte' : 'NOT those that came'}`);
  terminal.detail(`webhook-id ${delivery.webhookId ?? 'missing'}`);
  if (!isEqual || delivery.signature !== 'valid' || delivery.answered !== 200) {
    throw new Error('The merchant did not get the body that the gateway sent.');
  }

  const again = await sendAgain(stage, body);
  step('duplicate', `the same callback again: ${again.status} ${again.body} in ${again.ms} ms`);
  if (!again.body.includes('"duplicate":true'))
    throw new Error('The second callback was not recognized as a duplicate.');
  const isConfirmed = untilView(stage, gatewayReference, ({ confirmed }) => confirmed === 'yes');
  await inTime(isConfirmed, 'The callback was not confirmed');
  step('confirmed', 'the gateway says the same: success, 100.00 KES');
  const deliveries = stage.merchant.deliveriesOf(gatewayReference).length;
  if (deliveries !== 1) throw new Error(`The merchant got the callback ${deliveries} times.`);
  terminal.success(`The callback reached the merchant, once, ${delivery.receivedAtMs - atMs} ms after it was sent.`);
}

async function startPayIn({ gatewayUrl, apiKey, resultUrl }: Stage) {
  const answer = await fetch(`${gatewayUrl}/direct/payin/mpesa-ke`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Api-Key': apiKey },
    body: `{
      "amount": { "value": 100.00, "currency": "KES" },
      "payer": { "id": "customer-1", "msisdn": "254700000001" },
      "country": "KE",
      "resultUrl": ${JSON.stringify(resultUrl)},
      "merchantReference": "${merchantReference}"
    }`,
    signal: AbortSignal.timeout(stepMs),
  });
  if (!answer.ok) throw new Error(`The gateway refused the pay-in: ${answer.status} ${await answer.text()}`);
  return startedSchema.parse(await answer.json());
}

async function sendAgain({ resultUrl, apiKey }: Stage, body: string) {
  const startedAt = performance.now();
  const answer = await fetch(resultUrl, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-API-KEY': apiKey },
    body,
    signal: AbortSignal.timeout(stepMs),
  });
  const text = await answer.text();
  return { status: answer.status, body: text, ms: Math.round(performance.now() - startedAt) };
}
