// `/v1/callbacks`: find one, list many.
import * as z from 'zod';
import { amountFilters } from '../../callback/amount-check.ts';
import { confirmations } from '../../callback/confirmation.ts';
import { callbackPageMax } from '../../store/callbacks/callback-pages.ts';
import type { Finding, CallbackIndex } from '../../store/callbacks/callback-index.ts';
import { callbackRowSchema, callbackSchema, callbackStates } from '../../store/callbacks/callback-view.ts';
import { refusal, route, type Route } from './route.ts';

const limitDefault = 50;

export const brandQuery = z.object({
  brand: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/)
    .optional()
    .describe('Needed if there are several brands.'),
});

export const referenceParams = z.object({ gatewayReference: z.string().min(1).describe('Percent-encoded.') });

/** Without an offset it is refused: in a program's request the hours must be unambiguous. */
export const time = z.iso
  .datetime({ offset: true, error: 'must be an ISO 8601 time with an offset, such as 2026-01-31T00:00:00Z' })
  .transform((text) => Date.parse(text))
  .optional();

const listQuerySchema = brandQuery.extend({
  state: z.enum(callbackStates).optional(),
  status: z.string().optional().describe("The gateway's status: success, failed, ..."),
  confirmed: z.enum(confirmations).optional().describe('Whether the gateway has confirmed it.'),
  amountCheck: z
    .enum(amountFilters)
    .optional()
    .describe('Compares the paid amount with the ordered one; `mismatch` means all but `match`.'),
  merchantReference: z.string().optional(),
  from: time.describe('Time of receipt, inclusive; ISO 8601 with an offset.'),
  to: time.describe('Time of receipt, exclusive.'),
  limit: z.coerce.number().int().min(1).max(callbackPageMax).default(limitDefault),
  cursor: z.string().min(1).optional().describe('`next` of the previous page.'),
});

const findingSchema = callbackSchema.extend({
  corrected: z.array(callbackSchema).describe('What this correction replaced, latest first.'),
  others: z.array(callbackSchema).describe('Callbacks with the same reference and another status, such as reversed.'),
});

const pageSchema = z.object({
  data: z.array(callbackRowSchema),
  next: z.string().nullable().describe('The cursor of the next page; even a short page may have one.'),
});

/** OpenAPI links for answers that name a callback. */
export const linkToCallback = {
  callback: {
    operationId: 'get-callbacks-one',
    parameters: { gatewayReference: '$response.body#/gatewayReference' },
  },
} as const;

export const unknownCallback = refusal(
  404,
  'unknown-callback',
  'No callback with this gatewayReference is stored here.',
);

export function callbackRoutes({ callbackIndex }: { callbackIndex: CallbackIndex }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/callbacks/{gatewayReference}',
      needs: 'read',
      summary: 'Everything stored about one callback',
      input: z.object({ params: referenceParams, query: brandQuery }),
      answers: { 200: { description: 'Found', schema: findingSchema }, 404: { description: 'Unknown' } },
      async handle({ params, query }) {
        const finding = await callbackIndex.find(params.gatewayReference, query.brand);
        return finding === undefined ? unknownCallback : { status: 200, body: toBody(finding) };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/callbacks',
      needs: 'read',
      summary: 'Callbacks, newest first',
      input: z.object({ query: listQuerySchema }),
      answers: {
        200: {
          description: 'A page',
          schema: pageSchema,
          links: {
            nextPage: { operationId: 'get-callbacks', parameters: { cursor: '$response.body#/next' } },
            newest: {
              operationId: 'get-callbacks-one',
              parameters: { gatewayReference: '$response.body#/data/0/gatewayReference' },
            },
          },
        },
      },
      async handle({ query }) {
        const { from, to, ...rest } = query;
        return { status: 200, body: await callbackIndex.list({ ...rest, fromMs: from, toMs: to }) };
      },
    }),
  ];
}

function toBody({ callback, corrected, others }: Finding) {
  return { ...callback, corrected, others };
}
