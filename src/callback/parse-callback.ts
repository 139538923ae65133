// The lenient reading of a callback's body: what a receiver must know of it, and nothing more.
//
// Only `gatewayReference` is required. Unknown fields, unknown values of open enums and nulls pass, as the gateway's
// compatibility rules demand. The body itself is never re-serialised: `body` is its text, byte for byte.
import { isUtf8 } from 'node:buffer';
import { canonicalDecimal, mayHoldLongNumber, parseExact, type Amount } from './decimal.ts';
import { withoutByteOrderMark } from './json-text.ts';

export interface Callback {
  readonly gatewayReference: string;
  readonly merchantReference: string | null;
  /** The gateway's word where it is text; its JSON text where it is another type; null where it is missing. */
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

/** As parseCallback, for a body that is text already (from the queue, the spool or the gateway's status API). */
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

/** What is wrong with a gatewayReference, as a sentence; undefined where nothing is. */
export function referenceProblem(reference: unknown): string | undefined {
  if (reference === undefined) return 'gatewayReference is missing.';
  if (typeof reference !== 'string') return 'gatewayReference is not a string.';
  if (reference === '') return 'gatewayReference is empty.';
  // Counted in characters, not in UTF-16 units; only a text that could be too long is counted at all.
  if (reference.length > referenceLengthMax && Array.from(reference).length > referenceLengthMax) {
    return `gatewayReference has over ${referenceLengthMax} characters.`;
  }
  return undefined;
}

/**
 * The fields of a JSON object with every digit of its numbers, where a double might lose some and the text can be read
 * so. Only for what JSON.parse has accepted (on a string without end the search for numbers would take minutes), and
 * not for telling types apart: numbers are text here.
 */
function exactly(json: string): JsonObject | undefined {
  const exact = mayHoldLongNumber(json) ? attempt(() => parseExact(json))?.value : undefined;
  return isObject(exact) ? exact : undefined;
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Fields that carry something else than expected are read as absent, never refused. By hand: there are five of them, each
// has a rule of its own, and a schema would take as long for them as JSON.parse does for the whole text.

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
  // Text can be parsed that nests too deep to be written again; then the status is as good as none.
  return typeof status === 'string' ? status : (attempt(() => JSON.stringify(status))?.value ?? null);
}

function toAmount(field: unknown): Amount | null {
  if (!isObject(field)) return null;
  const { value, currency } = field;
  if (typeof currency !== 'string' || (typeof value !== 'string' && typeof value !== 'number')) return null;
  const decimal = canonicalDecimal(String(value));
  return decimal === undefined ? null : { value: decimal, currency };
}
