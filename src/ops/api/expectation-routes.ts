// `POST /v1/expectations`: announces transactions, one or many at once. Of many, all or none are registered.
import * as z from 'zod';
import { canonicalDecimal } from '../../callback/decimal.ts';
import { inParallel } from '../../async/in-parallel.ts';
import type { Actions } from '../actions.ts';
import { unknownBrand } from './action-routes.ts';
import { brandQuery, linkToCallback } from './callback-routes.ts';
import { refusal, route, type Answer, type Route } from './route.ts';

const expectationsMax = 1_000;
const atOnceMax = 50;
/** A double represents decimals of up to this many digits exactly enough. */
const certainDigits = 15;

const amountSchema = z.object({
  value: z.union([z.string(), z.number()]).transform((value, context) => {
    const text = canonicalDecimal(String(value));
    const isCertain = typeof value === 'string' || String(value).replaceAll(/\D/g, '').length <= certainDigits;
    if (text !== undefined && isCertain && !text.startsWith('-')) return text;
    context.addIssue('must be a non-negative decimal; as text if it has over 15 digits');
    return z.NEVER;
  }),
  currency: z.string().min(1).max(16),
});

const expectationBody = z.object({
  gatewayReference: z.string().min(1).max(255),
  merchantReference: z
    .string()
    .min(1)
    .max(255)
    .nullish()
    .transform((text) => text ?? undefined),
  brand: brandQuery.shape.brand,
  amount: amountSchema
    .nullish()
    .transform((amount) => amount ?? undefined)
    .describe('The ordered amount, to compare with the paid one.'),
});

const { $schema: _dialect, ...oneExpectation } = z.toJSONSchema(expectationBody, { io: 'input' });
/** Each is validated separately, so that the answer names all invalid ones; the OpenAPI document describes the item. */
const manyBody = z.array(z.unknown()).meta({ minItems: 1, maxItems: expectationsMax, items: oneExpectation });

type Expectation = z.infer<typeof expectationBody>;

const brandMessage = 'brand: must be one of the configured brands';

export function expectationRoutes({ actions }: { actions: Pick<Actions, 'expect' | 'isBrand'> }): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/expectations',
      needs: 'expect',
      summary: `Transactions were started (one, or an array of up to ${expectationsMax}): look each up if its callback is not here in time`,
      input: z.object({ body: z.union([manyBody, expectationBody]) }),
      answers: {
        202: {
          description: 'Registered',
          schema: z.union([z.object({ gatewayReference: z.string() }), z.object({ registered: z.int() })]),
          links: linkToCallback,
        },
        422: { description: 'At least one is invalid; `errors` names each by its index, and none was registered' },
      },
      async handle({ body }) {
        if (Array.isArray(body)) return registerMany(actions, body);
        const { kind } = await actions.expect(body);
        if (kind === 'unknown-brand') return unknownBrand;
        return { status: 202, body: { gatewayReference: body.gatewayReference } };
      },
    }),
  ];
}

async function registerMany(actions: Pick<Actions, 'expect' | 'isBrand'>, items: readonly unknown[]): Promise<Answer> {
  if (items.length === 0 || items.length > expectationsMax)
    return wrong(`Send between 1 and ${expectationsMax} expectations, not ${items.length}. None was registered.`, []);
  const expectations: Expectation[] = [];
  const errors: { index: number; message: string }[] = [];
  for (const [index, item] of items.entries()) {
    const parsed = expectationBody.safeParse(item);
    if (!parsed.success) errors.push({ index, message: messageOf(parsed.error) });
    else if (!actions.isBrand(parsed.data.brand)) errors.push({ index, message: brandMessage });
    else expectations.push(parsed.data);
  }
  const indexes = errors.map(({ index }) => index).join(', ');
  if (errors.length > 0) return wrong(`Invalid at index ${indexes}. None was registered.`, errors);
  await inParallel(expectations, atOnceMax, async (expectation) => void (await actions.expect(expectation)));
  return { status: 202, body: { registered: expectations.length } };
}

function wrong(detail: string, errors: readonly object[]): Answer {
  return refusal(422, 'invalid-expectations', detail, { errors });
}

function messageOf({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ');
}
