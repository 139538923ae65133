// What each receiver under comparison is told: all of it comes as environment variables.
import * as z from 'zod';

export const environment = z.object({
  /** Where it listens, on the loopback address; callbacks come to `/webhooks/payalo`. */
  PORT: z.coerce.number(),
  REDIS_URL: z.string(),
  MERCHANT_URL: z.string(),
  /** What callbacks bear as `X-API-KEY`. */
  API_KEY: z.string(),
});
