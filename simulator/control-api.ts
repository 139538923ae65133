// The gateway's controls over HTTP, for a simulator in a separate process. They need no key: by default the simulator listens
// on loopback only, and holds nothing worth stealing.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { bulkSchema, forgerySchema, type GatewayControls } from './gateway-controls.ts';
import { refuse } from './gateway-api.ts';
import { delaySchema, limitSchema } from './load.ts';
import { misbehaviourSchema } from './misbehaviour.ts';
import { outageSchema } from './outage.ts';
import { outcomesHelp } from './outcomes.ts';
import { timestamp } from './transaction-text.ts';
import type { Transaction } from './transactions.ts';

const listedMax = 1000;
const probability = z.number().min(0).max(1).optional();
const chancesSchema = z.strictObject({ lossProbability: probability, duplicateProbability: probability });
const keysSchema = z.strictObject({ merchant: z.string().optional(), keys: z.array(z.string().min(1)) });
const callbackSchema = z.strictObject({ body: z.string().optional(), key: z.string().optional() });
const reversalSchema = z.strictObject({ callback: z.boolean().default(false) });
const denialSchema = z.strictObject({ denied: z.boolean().default(true) });
const correctionSchema = z.strictObject({
  status: z.string(),
  errorCode: z.string().optional(),
  percentPaid: z.int().min(0).transform(BigInt).optional(),
  callback: z.boolean().default(false),
});

export const controlApiHelp = `Controls (HTTP, JSON), below /_simulator:
  GET    /transactions[?status=&limit=]     the newest ones, with the outcomes of their callbacks
  POST   /transactions                      {"count", "createdAt", "everyMs", "status", "resultUrl", "callbacks", ...} adds many
  POST   /transactions/{ref}/correction     {"status", "errorCode", "percentPaid", "callback"} changes the gateway's record
  POST   /transactions/{ref}/callback       {"body", "key"} sends its callback once more
  POST   /transactions/{ref}/reversal       {"callback"} reverses the payment; its callback is lost unless requested
  POST   /transactions/{ref}/denial         {"denied"} makes it unknown: status 404, in no list; false ends that
  PUT    /transactions/{ref}/misbehaviour   {"denied", "record": {"kind": "bytes", "base64"} | outage, "status": {"kind": "says", "status"} | outage}
  POST   /forgeries                         {"resultUrl", "status", "amount", ...} a callback with the genuine key for a transaction that does not exist
  PUT    /delay                             {"ms", "on": "status" | "records" | "start"} delays answers
  PUT    /limit                             {"statusCallsPerSecond"} the limit before 429; null for the usual one
  PUT    /keys                              {"merchant", "keys"} sets the valid keys; callbacks carry the first
  PUT    /outage                            {"kind": "answer", "status": 503} | {"kind": "hang" | "reset" | "garbage"}, with "on": "status" | "records" | "start", or null
  PUT    /chances                           {"lossProbability", "duplicateProbability"}
  GET    /calls, DELETE /calls              how often each call was made; DELETE resets the counts
  GET    /breaker[?merchant=]               closed, open or half-open`;

export function registerControlApi(app: FastifyInstance, controls: GatewayControls): void {
  app.setErrorHandler((error, _request, reply) => {
    const detail = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    return refuse(reply, { status: 400, errorCode: 'validation_failed', detail });
  });

  app.get('/', async (_request, reply) => reply.type('text/plain').send(`${outcomesHelp}\n\n${controlApiHelp}\n`));

  app.get<{ Querystring: { status?: string; limit?: string } }>('/transactions', async ({ query }) =>
    controls
      .transactions()
      .filter(({ state }) => query.status === undefined || state.status === query.status)
      .slice(-Math.min(Number(query.limit ?? 50) || 50, listedMax))
      .toReversed()
      .map(summary),
  );
  app.post('/transactions', async ({ body }) => {
    const added = controls.addTransactions(bulkSchema.parse(json(body)));
    return { added: added.length, first: added[0]?.gatewayReference, last: added.at(-1)?.gatewayReference };
  });
  app.post<{ Params: { reference: string } }>('/transactions/:reference/correction', async ({ params, body }) => {
    const { callback, ...change } = correctionSchema.parse(json(body));
    return summary(await controls.correct(params.reference, change, { callback }));
  });
  app.post<{ Params: { reference: string } }>('/transactions/:reference/callback', async ({ params, body }) =>
    controls.sendCallback(params.reference, callbackSchema.parse(json(body))),
  );

  registerLies(app, controls);

  app.put<{ Params: { reference: string } }>('/transactions/:reference/misbehaviour', async ({ params, body }) =>
    controls.misbehave(params.reference, misbehaviourSchema.parse(json(body))),
  );

  app.put('/keys', async ({ body }) => {
    const { keys, merchant } = keysSchema.parse(json(body));
    controls.setKeys(keys, merchant);
    return { keys: keys.length };
  });
  app.put('/outage', async ({ body }) => {
    const outage = outageSchema.nullable().parse(json(body));
    controls.setOutage(outage);
    return { outage };
  });
  app.put('/delay', async ({ body }) => controls.setDelay(delaySchema.parse(json(body))));
  app.put('/limit', async ({ body }) =>
    controls.setStatusLimit(limitSchema.nullable().parse(json(body))?.statusCallsPerSecond ?? null),
  );
  app.put('/chances', async ({ body }) => controls.setChances(chancesSchema.parse(json(body))));

  app.get('/calls', async () => controls.calls());
  app.delete('/calls', async () => {
    controls.resetCalls();
    return controls.calls();
  });
  app.get<{ Querystring: { merchant?: string } }>('/breaker', async ({ query }) => ({
    state: controls.breakerState(query.merchant),
  }));

  app.get<{ Params: { reference: string } }>('/checkout/:reference', async ({ params }, reply) =>
    reply
      .type('text/plain')
      .send(`Here the payer of ${params.reference} would pay. The simulator completes it by itself.\n`),
  );
}

/** Controls that make a delivered callback untrue, and forgeries. */
function registerLies(app: FastifyInstance, controls: GatewayControls): void {
  app.post<{ Params: { reference: string } }>('/transactions/:reference/reversal', async ({ params, body }) =>
    summary(await controls.reverse(params.reference, reversalSchema.parse(json(body)))),
  );
  app.post<{ Params: { reference: string } }>('/transactions/:reference/denial', async ({ params, body }) => {
    const { denied } = denialSchema.parse(json(body));
    controls.deny(params.reference, denied);
    return { denied };
  });
  app.post('/forgeries', async ({ body }) => controls.forge(forgerySchema.parse(json(body))));
}

function json(body: unknown): unknown {
  return typeof body === 'string' && body !== '' ? JSON.parse(body) : {};
}

function summary({
  gatewayReference,
  merchantReference,
  merchant,
  state,
  createdAtMs,
  statusCalls,
  callbacks,
}: Transaction) {
  return {
    gatewayReference,
    merchantReference,
    merchant,
    status: state.status,
    finalAmount: state.finalAmount,
    createdAt: timestamp(createdAtMs),
    statusCalls,
    callbacks,
  };
}
