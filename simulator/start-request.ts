// A merchant's request to start a transaction, validated as the gateway's documentation says. Numbers are read as their own
// text, so that an amount keeps its decimals.
import { z } from 'zod';
import { isPlainDecimal, withTwoDecimals } from './decimals.ts';

export interface StartRules {
  /** The real gateway accepts only HTTPS; a simulator on one machine must also call plain HTTP. */
  readonly requireHttps: boolean;
  readonly reconciliationReference: 'required' | 'optional';
}

export type StartRequest = z.infer<ReturnType<typeof schemaFor>>;

export type ParsedStart =
  | { readonly kind: 'request'; readonly request: StartRequest }
  | { readonly kind: 'refused'; readonly errorCode: 'bad_request' | 'validation_failed'; readonly detail: string };

export function parseStartRequest(body: string, rules: StartRules): ParsedStart {
  const json = parseJson(body);
  if (json === undefined) return { kind: 'refused', errorCode: 'bad_request', detail: 'The body is not JSON.' };
  const parsed = schemaFor(rules).safeParse(json);
  if (parsed.success) return { kind: 'request', request: parsed.data };
  const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  return { kind: 'refused', errorCode: 'validation_failed', detail: issues.join('; ') };
}

/** JSON in which every number becomes `{ decimal: 'its text' }`; undefined if the text is not JSON. */
function parseJson(body: string): unknown {
  try {
    return JSON.parse(body, keepNumbers);
  } catch {
    return undefined;
  }
}

function keepNumbers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'number' ? { decimal: context?.source } : value;
}

function schemaFor({ requireHttps, reconciliationReference }: StartRules) {
  const reference = z.string().min(1).max(255);
  const httpUrl = z
    .url({ protocol: requireHttps ? /^https$/ : /^https?$/, message: `not an ${requireHttps ? 'HTTPS' : 'HTTP'} URL` })
    .max(2048);
  const decimal = z
    .object({ decimal: z.string() }, 'not a number')
    .refine(({ decimal }) => isPlainDecimal(decimal) && /[1-9]/.test(decimal), 'not a positive decimal')
    .transform(({ decimal }) => withTwoDecimals(decimal));
  return z.object({
    amount: z.object({ value: decimal, currency: z.string().regex(/^[A-Z]{3}$/) }),
    payer: z.object({
      id: reference,
      msisdn: z.string().regex(/^\+?\d{7,15}$/),
      firstName: z.string().nullish(),
      lastName: z.string().nullish(),
      email: z.string().nullish(),
    }),
    country: z.string().regex(/^[A-Z]{2}$/),
    resultUrl: httpUrl,
    merchantReference: reference,
    reconciliationReference: reconciliationReference === 'required' ? reference : reference.nullish(),
    labels: z
      .record(z.string(), z.string())
      .refine((labels) => Object.keys(labels).length <= 10, 'more than 10 labels')
      .nullish(),
    successRedirectUrl: httpUrl.nullish(),
    errorRedirectUrl: httpUrl.nullish(),
  });
}
