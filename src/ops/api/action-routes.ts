// The routes that change something: replay, erase, pause.
import * as z from 'zod';
import { replayableStates, type Actions } from '../actions.ts';
import { linkToCallback, brandQuery, referenceParams, time, unknownCallback } from './callback-routes.ts';
import { refusal, route, type Answer, type Route } from './route.ts';

const replaysBody = z.object({
  state: z.enum(replayableStates),
  from: time.describe('Time of receipt, inclusive.'),
  to: time.describe('Time of receipt, exclusive.'),
  brand: z.string().optional(),
});

const notReplayed = {
  'not-found': unknownCallback,
  gone: refusal(410, 'gone', 'Its body was removed, so it cannot be delivered again.'),
  removed: refusal(
    410,
    'removed',
    'Its job was removed from the queue before it was delivered, and its body with it. The next sweep fetches it from the gateway and delivers it under the same webhook-id; `payalo-receiver reconcile --from 24h` does so at once.',
  ),
  'in-progress': refusal(409, 'in-progress', 'It is already waiting or being delivered.'),
  superseded: refusal(409, 'superseded', 'A correction replaced it; replay that one.'),
};
const notErased = {
  'not-found': unknownCallback,
  'in-progress': refusal(
    409,
    'not-settled',
    'It is still to be delivered. It can be erased once it is delivered or failed.',
  ),
};
export const unknownBrand = refusal(400, 'unknown-brand', 'Name one of the configured brands.');

export function actionRoutes({ actions }: { actions: Actions }): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/callbacks/{gatewayReference}/replay',
      needs: 'change',
      summary: 'Deliver a callback again, under the same webhook-id, with the whole schedule',
      input: z.object({ params: referenceParams, query: brandQuery }),
      answers: {
        202: {
          description: 'Back in the queue',
          schema: z.object({ gatewayReference: z.string(), state: z.string() }),
          links: linkToCallback,
        },
        404: { description: 'Unknown' },
        409: { description: 'Already waiting or being delivered, or superseded' },
        410: {
          description: 'Its body or its job was removed; the detail says what happens next',
        },
      },
      async handle({ params, query }, actor): Promise<Answer> {
        const { kind } = await actions.replay(actor, { ...params, ...query });
        return kind === 'replayed' ? { status: 202, body: { ...params, state: 'queued' } } : notReplayed[kind];
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/callbacks/{gatewayReference}',
      needs: 'change',
      summary: 'Erase body and answers; reference, status, times and the claim stay',
      input: z.object({ params: referenceParams, query: brandQuery }),
      answers: {
        200: { description: 'Erased', schema: z.object({ gatewayReference: z.string(), erased: z.literal(true) }) },
        404: { description: 'Unknown' },
        409: { description: 'Still to be delivered' },
      },
      async handle({ params, query }, actor): Promise<Answer> {
        const { kind } = await actions.erase(actor, { ...params, ...query });
        return kind === 'erased' ? { status: 200, body: { ...params, erased: true } } : notErased[kind];
      },
    }),
    route({
      method: 'POST',
      path: '/v1/replays',
      needs: 'change',
      summary: 'Replay many, throttled, in the background',
      input: z.object({ body: replaysBody }),
      answers: { 202: { description: 'Started', schema: z.object({ count: z.int() }) } },
      async handle({ body: { from, to, ...rest } }, actor) {
        const { count } = await actions.replayMany(actor, { ...rest, fromMs: from, toMs: to });
        return { status: 202, body: { count } };
      },
    }),
    ...(['pause', 'resume'] as const).map((verb) =>
      route({
        method: 'POST',
        path: `/v1/forwarding/${verb}`,
        needs: 'change',
        summary:
          verb === 'pause' ? 'Stop deliveries; intake continues' : 'Resume deliveries, and close an open breaker',
        input: z.object({ query: brandQuery }),
        answers: { 200: { description: 'Done', schema: z.object({ paused: z.boolean() }) } },
        async handle({ query }, actor) {
          const { kind } = await actions[verb](actor, query.brand);
          if (kind === 'unknown-brand') return unknownBrand;
          return { status: 200, body: { paused: kind === 'paused' } };
        },
      }),
    ),
  ];
}
