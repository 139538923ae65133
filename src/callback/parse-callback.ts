// Parses a callback's body leniently: reads what a receiver must know, and nothing more.
//
// Only `gatewayReference` is required. Unknown fields, unknown values of open enums and nulls pass, as the gateway's
// compatibility rules demand. The body itself is never re-serialised: `body` is its text, byte for byte.
import { isUtf8 } from 'node:buffer';
import { canonicalDecimal, mayHoldLongNumber, parseExact, type Amount } from './decimal.ts';
import { withoutByteOrderMark } from './json-text.ts';

export interface Callback {
  readonly gatewayReference: string;
  readonly merchantReference: string | null;
  /** The gateway's status. If it is not a string, its JSON text; null if it is missing. */
  readonly status: string | null;
  readonly type: string | null;
  readonly finalAmount: Amount | null;
  /** The gateway's JSON text. Encoding it as UTF-8 gives exactly the bytes that arrived, a byte order mark included. */
  readonly body: string;
}

export type ParsedCallback =
  | { readonly kind: 'callback'; readonly callback: Callback }
  | { readonly kind: 'not-json'; readonly detail: string }
  | { readonly kind: 'bad-reference'; readonly detail: string };

/** The gateway's documented limit for references, in characters. */
const referenceLengthMax = 255;

export function parseCallback(raw: Buffer): ParsedCallback {
  if (!isUtf8(raw)) return { kind: 'not-json', detail: 'The body is not UTF-8 text.' };
  return parseCallbackText(raw.toString('utf8'));
}

/** As parseCallback, for a body that is already text (from the queue, the spool or the gateway's status API). */
export function parseCallbackText(body: string): ParsedCallback {
  const json = withoutByteOrderMark(body);
  const parsed = attempt((): unknown => JSON.parse(json));
  if (parsed === undefined) return { kind: 'not-json', detail: 'The body is not valid JSON.' };
  const fields = parsed.value;
  if (!isObject(fields)) return { kind: 'not-json', detail: 'The body is JSON, but not a JSON object.' };
  const reference = fields['gatewayReference'];
  const problem = referenceProblem(reference);
  if (problem !== undefined || typeof reference !== 'string') {
    return { kind: 'bad-reference', detail: problem ?? 'gatewayReference is not a string.' };
  }
  return {
    kind: 'callback',
    callback: {
      gatewayReference: reference,
      merchantReference: toText(fields['merchantReference']),
      status: toStatus(fields['status']),
      type: toText(fields['type']),
      finalAmount: toAmount((exactly(json) ?? fields)['finalAmount']),
      body,
    },
  };
}

/** What is wrong with a gatewayReference, as a sentence; undefined if it is valid. */
export function referenceProblem(reference: unknown): string | undefined {
  if (reference === undefined) return 'gatewayReference is missing.';
  if (typeof reference !== 'string') return 'gatewayReference is not a string.';
  if (reference === '') return 'gatewayReference is empty.';
  // Counted in characters, not UTF-16 units; short texts skip the count.
  if (reference.length > referenceLengthMax && Array.from(reference).length > referenceLengthMax) {
    return `gatewayReference has over ${referenceLengthMax} characters.`;
  }
  return undefined;
}

/**
 * The fields of a JSON object with numbers as exact text, if a double might lose digits of one. Call it only with text that
 * JSON.parse has accepted: on an unterminated string the regular expression would take minutes. Not for telling types
 * apart, since numbers are strings here.
 */
function exactly(json: string): JsonObject | undefined {
  const exact = mayHoldLongNumber(json) ? attempt(() => parseExact(json))?.value : undefined;
  return isObject(exact) ? exact : undefined;
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Fields of an unexpected type are read as absent, never refused. Hand-written: there are only five, each with its own
// rule, and a schema would cost as much for them as JSON.parse does for the whole text.

function toText(field: unknown): string | null {
  return typeof field === 'string' ? field : null;
}

function attempt<T>(parse: () => T): { value: T } | undefined {
  try {
    return { value: parse() };
  } catch {
    return undefined;
  }
}

function toStatus(status: unknown): string | null {
  if (status === undefined || status === null) return null;
  // JSON.parse accepts text that nests too deep for JSON.stringify; such a status counts as absent.
  return typeof status === 'string' ? status : (attempt(() => JSON.stringify(status))?.value ?? null);
}

function toAmount(field: unknown): Amount | null {
  if (!isObject(field)) return null;
  const { value, currency } = field;
  if (typeof currency !== 'string' || (typeof value !== 'string' && typeof value !== 'number')) return null;
  const decimal = canonicalDecimal(String(value));
  return decimal === undefined ? null : { value: decimal, currency };
}
