// `/v1/quarantine`: refused requests that carried a genuine key.
import * as z from 'zod';
import type { Quarantine } from '../../intake/quarantine/quarantine.ts';
import { quarantineSummarySchema } from '../../intake/quarantine/quarantine-entry.ts';
import type { Actions } from '../actions.ts';
import { refusal, route, type Answer, type Route } from './route.ts';

const idParams = z.object({ id: z.string().min(1) });

const listQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().min(1).optional().describe('`next` of the previous page.'),
});

const releaseBody = z.object({
  gatewayReference: z.string().min(1).max(255).optional().describe('Needed if the body names no usable one.'),
});

const unknown = refusal(404, 'unknown-quarantine', 'The quarantine has no such entry.');

export interface QuarantineRoutesDeps {
  readonly quarantine: Pick<Quarantine, 'list' | 'get'>;
  readonly actions: Actions;
}

export function quarantineRoutes({ quarantine, actions }: QuarantineRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/quarantine',
      needs: 'read',
      summary: 'The quarantined requests, newest first, without bodies',
      input: z.object({ query: listQuery }),
      answers: {
        200: {
          description: 'A page',
          schema: z.object({ data: z.array(quarantineSummarySchema), next: z.string().nullable() }),
          links: {
            nextPage: { operationId: 'get-quarantine', parameters: { cursor: '$response.body#/next' } },
            newest: { operationId: 'get-quarantine-one', parameters: { id: '$response.body#/data/0/id' } },
          },
        },
      },
      async handle({ query }) {
        const { entries, next } = await quarantine.list(query);
        return { status: 200, body: { data: entries, next } };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/quarantine/{id}',
      needs: 'read',
      summary: 'One entry with its body',
      input: z.object({ params: idParams }),
      answers: {
        200: {
          description: 'Found',
          schema: quarantineSummarySchema.extend({ body: z.string(), bodyBase64: z.string() }),
        },
        404: { description: 'Unknown' },
      },
      async handle({ params }): Promise<Answer> {
        const entry = await quarantine.get(params.id);
        if (entry === undefined) return unknown;
        const { body } = entry;
        return { status: 200, body: { ...entry, body: body.toString('utf8'), bodyBase64: body.toString('base64') } };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/quarantine/{id}/release',
      needs: 'change',
      summary: 'Hand an entry to intake as if it had just come',
      input: z.object({ params: idParams, body: releaseBody }),
      answers: {
        200: { description: 'Released', schema: z.object({ id: z.string(), outcome: z.string() }) },
        404: { description: 'Unknown' },
        409: { description: 'Intake refused it' },
        422: { description: 'The body is not a usable callback' },
      },
      async handle({ params: { id }, body }, actor): Promise<Answer> {
        const outcome = await actions.release(actor, id, body.gatewayReference);
        switch (outcome.kind) {
          case 'released':
            return { status: 200, body: { id, outcome: outcome.outcome } };
          case 'unknown':
            return unknown;
          case 'bad-reference':
          case 'unreadable':
            return refusal(422, outcome.kind, outcome.detail);
          case 'refused':
            return refusal(409, 'refused', outcome.detail);
        }
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/quarantine/{id}',
      needs: 'change',
      summary: 'Delete an entry',
      input: z.object({ params: idParams }),
      answers: {
        200: { description: 'Deleted', schema: z.object({ id: z.string(), deleted: z.literal(true) }) },
        404: { description: 'Unknown' },
      },
      async handle({ params: { id } }, actor): Promise<Answer> {
        const { kind } = await actions.discard(actor, id);
        return kind === 'unknown' ? unknown : { status: 200, body: { id, deleted: true } };
      },
    }),
  ];
}
