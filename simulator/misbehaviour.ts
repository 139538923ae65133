// One transaction about which the gateway misbehaves: its record in a page is damaged, or its status call says something
// else than the list, or meets an outage of its own, or it is denied. Everything else goes on as usual.
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
  /** The gateway does not know it: no list names it, and its status call is answered with 404. */
  denied: z.boolean().optional(),
  /** Its place in a page holds these bytes; or every page with it meets the outage. */
  record: z.union([bytesSchema, outageSchema]).optional(),
  /** What its status call says instead of the truth; or the outage that it meets. Also by the merchant's reference. */
  status: z.union([saysSchema, outageSchema]).optional(),
});

export type Misbehaviour = z.output<typeof misbehaviourSchema>;
