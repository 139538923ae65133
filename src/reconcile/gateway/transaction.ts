// The gateway's transaction object, from a status reply or out of a page of records. Read as leniently as a callback;
// its text is kept byte for byte.
import * as z from 'zod';
import { parseCallbackText, type Callback } from '../../callback/parse-callback.ts';
import { parseTimeMs } from '../../time/parse-time.ts';
import { parseJson, withoutByteOrderMark } from '../../callback/json-text.ts';

export interface Transaction {
  readonly callback: Callback;
  /** Undefined where the gateway names no readable time. */
  readonly createdAtMs: number | undefined;
  readonly completedAtMs: number | undefined;
}

/** A larger one is not read, neither from a status reply nor out of a page. */
export const transactionBytesMax = 1_048_576;

/** Undefined where the text is no transaction. */
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
