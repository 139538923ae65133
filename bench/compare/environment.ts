// The environment variables that configure each receiver under comparison.
import * as z from 'zod';

export const environment = z.object({
  /** The port to listen on, at the loopback address; callbacks arrive at `/webhooks/payalo`. */
  PORT: z.coerce.number(),
  REDIS_URL: z.string(),
  MERCHANT_URL: z.string(),
  /** The `X-API-KEY` of callbacks. */
  API_KEY: z.string(),
});
