// The routes that change something: replay, erase, pause.
import * as z from 'zod';
import { problem } from '../../http/problem.ts';
import { replayableStates, type Actions } from '../actions.ts';
import { linkToCallback, brandQuery, referenceParams, time, unknownCallback } from './callback-routes.ts';
import { route, type Answer, type Route } from './route.ts';

const replaysBody = z.object({
  state: z.enum(replayableStates),
  from: time.describe('Of receipt, inclusive.'),
  to: time.describe('Of receipt, exclusive.'),
  brand: z.string().optional(),
});

const gone = problem(
  410,
  'gone',
  'Only the memory of it is left; its body was removed, so it cannot be delivered again.',
);
const removed = problem(
  410,
  'removed',
  'Its job was removed from the queue before it was delivered, and its body with it. The next sweep fetches it from the gateway and delivers it under the same webhook-id; `payalo-receiver reconcile --from 24h` does so at once.',
);
const inProgress = problem(409, 'in-progress', 'It waits or is being delivered already.');
const superseded = problem(409, 'superseded', 'A correction took its place; replay that one.');
const notSettled = problem(
  409,
  'not-settled',
  'It is still to be delivered. It can be erased once it is delivered or failed.',
);
const unknownBrand = problem(400, 'unknown-brand', 'Name one of the configured brands.');

export function actionRoutes({ actions }: { actions: Actions }): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/callbacks/{gatewayReference}/replay',
      needs: 'change',
      summary: 'Deliver a callback again, under the same webhook-id, with its whole schedule anew',
      input: z.object({ params: referenceParams, query: brandQuery }),
      answers: {
        202: {
          description: 'Back in the queue',
          schema: z.object({ gatewayReference: z.string(), state: z.string() }),
          links: linkToCallback,
        },
        404: { description: 'Unknown' },
        409: { description: 'On its way already, or superseded' },
        410: {
          description: 'Only the memory of it is left, or its job was removed; the detail says what happens next',
        },
      },
      async handle({ params, query }, actor): Promise<Answer> {
        const { kind } = await actions.replay(actor, { ...params, ...query });
        switch (kind) {
          case 'replayed':
            return { status: 202, body: { ...params, state: 'queued' } };
          case 'not-found':
            return unknownCallback;
          case 'gone':
            return { status: 410, problem: gone };
          case 'removed':
            return { status: 410, problem: removed };
          case 'in-progress':
            return { status: 409, problem: inProgress };
          case 'superseded':
            return { status: 409, problem: superseded };
        }
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/callbacks/{gatewayReference}',
      needs: 'change',
      summary: 'Erase body and answers; reference, status, times and the deduplication memory stay',
      input: z.object({ params: referenceParams, query: brandQuery }),
      answers: {
        200: { description: 'Erased', schema: z.object({ gatewayReference: z.string(), erased: z.literal(true) }) },
        404: { description: 'Unknown' },
        409: { description: 'Still to be delivered' },
      },
      async handle({ params, query }, actor): Promise<Answer> {
        const { kind } = await actions.erase(actor, { ...params, ...query });
        switch (kind) {
          case 'erased':
            return { status: 200, body: { ...params, erased: true } };
          case 'in-progress':
            return { status: 409, problem: notSettled };
          case 'not-found':
            return unknownCallback;
        }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/replays',
      needs: 'change',
      summary: 'Replay many, throttled, in the background of this process',
      input: z.object({ body: replaysBody }),
      answers: { 202: { description: 'Begun', schema: z.object({ count: z.int() }) } },
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
        summary: verb === 'pause' ? 'Stop deliveries; intake goes on' : 'Deliver again, also past an open breaker',
        input: z.object({ query: brandQuery }),
        answers: { 200: { description: 'Done', schema: z.object({ paused: z.boolean() }) } },
        async handle({ query }, actor) {
          const { kind } = await actions[verb](actor, query.brand);
          if (kind === 'unknown-brand') return { status: 400, problem: unknownBrand };
          return { status: 200, body: { paused: kind === 'paused' } };
        },
      }),
    ),
  ];
}
