// The gateway's transaction object, from a status reply or out of a page of records. Read as leniently as a callback.
//
// Its text is kept: a status reply's byte for byte, and in a page every number's own text (`100.00` stays `100.00`).
import * as z from 'zod';
import { parseCallbackText, type Callback } from '../callback/parse-callback.ts';
import { parseTimeMs } from '../runtime/parse-time.ts';

export interface Transaction {
  readonly callback: Callback;
  /** Undefined where the gateway names no readable time. */
  readonly createdAtMs: number | undefined;
  readonly completedAtMs: number | undefined;
}

export interface RecordsPage {
  readonly transactions: readonly Transaction[];
  /** Items in which no transaction could be read. */
  readonly unreadable: number;
  /** The cursor of the next page; undefined on the last one. */
  readonly next: string | undefined;
}

/** A status reply; undefined where its text is no transaction. */
export function parseTransaction(text: string): Transaction | undefined {
  const parsed = parseCallbackText(text);
  return parsed.kind === 'callback' ? withTimes(parsed.callback, parseJson(withoutMark(text))) : undefined;
}

/** As `keepNumberText` leaves a number. */
const numberText = z.object({ rawJSON: z.string() }).transform(({ rawJSON }) => rawJSON);

const pageSchema = z.object({
  data: z.array(z.unknown()),
  /** A cursor that cannot be read is not the end: what comes behind it would count as swept. */
  pages: z.object({ next: z.union([z.string(), numberText]).nullish() }).nullish(),
});

/** A page of records; undefined where its text is none. */
export function parseRecordsPage(text: string): RecordsPage | undefined {
  const page = pageSchema.safeParse(parseJson(withoutMark(text), keepNumberText));
  if (!page.success) return undefined;
  const transactions = page.data.data.map(toTransaction).filter((transaction) => transaction !== undefined);
  return {
    transactions,
    unreadable: page.data.data.length - transactions.length,
    next: page.data.pages?.next || undefined,
  };
}

function toTransaction(item: unknown): Transaction | undefined {
  const parsed = parseCallbackText(JSON.stringify(item));
  return parsed.kind === 'callback' ? withTimes(parsed.callback, item) : undefined;
}

const time = z
  .string()
  .nullish()
  .catch(undefined)
  .transform((text) => parseTimeMs(text ?? ''));
const timesSchema = z.object({ createdAt: time, completedAt: time });

function withTimes(callback: Callback, value: unknown): Transaction {
  const times = timesSchema.safeParse(value);
  return { callback, createdAtMs: times.data?.createdAt, completedAtMs: times.data?.completedAt };
}

function withoutMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;

function parseJson(text: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(text, reviver);
  } catch {
    return undefined;
  }
}

// Node has JSON.rawJSON; TypeScript's library does not name it yet.
const rawJson = z
  .custom<(text: string) => object>((value) => typeof value === 'function')
  .parse(Reflect.get(JSON, 'rawJSON'));

function keepNumberText(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? rawJson(context.source) : value;
}
