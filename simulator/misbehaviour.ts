// Misbehaviour of the gateway about one transaction: its record in a page is damaged, its status call contradicts the list or
// meets an outage, or it is unknown. Everything else works as usual.
import { z } from 'zod';
import { outageSchema } from './outage.ts';

const bytesSchema = z.strictObject({ kind: z.literal('bytes'), base64: z.base64() });
const saysSchema = z.strictObject({
  kind: z.literal('says'),
  status: z.string(),
  errorCode: z.string().optional(),
  percentPaid: z.int().min(0).transform(BigInt).optional(),
});

export const misbehaviourSchema = z.strictObject({
  /** The gateway does not know it: no list contains it, and its status call answers 404. */
  denied: z.boolean().optional(),
  /** The bytes in its place in a page; or the outage of every page with it. */
  record: z.union([bytesSchema, outageSchema]).optional(),
  /** What its status call says instead of the truth; or the outage that it meets. Also by the merchant's reference. */
  status: z.union([saysSchema, outageSchema]).optional(),
});

export type Misbehaviour = z.output<typeof misbehaviourSchema>;
