// The gateway's transaction object, from a status reply or from a page of records. Parsed as leniently as a callback; its
// text is kept byte for byte.
import * as z from 'zod';
import { parseCallbackText, type Callback } from '../../callback/parse-callback.ts';
import { parseTimeMs } from '../../time/parse-time.ts';
import { parseJson, withoutByteOrderMark } from '../../callback/json-text.ts';

export interface Transaction {
  readonly callback: Callback;
  /** Undefined if the gateway names no valid time. */
  readonly createdAtMs: number | undefined;
  readonly completedAtMs: number | undefined;
}

/** Larger ones are not read, neither from a status reply nor from a page. */
export const transactionBytesMax = 1_048_576;

/** Undefined if the text is not a transaction. */
export function parseTransaction(text: string): Transaction | undefined {
  const parsed = parseCallbackText(text);
  if (parsed.kind !== 'callback') return undefined;
  const { createdAt, completedAt } = timesSchema.parse(parseJson(withoutByteOrderMark(text)));
  return { callback: parsed.callback, createdAtMs: createdAt, completedAtMs: completedAt };
}

const time = z
  .string()
  .nullish()
  .catch(undefined)
  .transform((text) => parseTimeMs(text ?? ''));
const timesSchema = z.object({ createdAt: time, completedAt: time });
