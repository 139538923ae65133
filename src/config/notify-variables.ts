// NOTIFY_URL and NOTIFY_SECRET: where notifications for people go, and the secret that signs them.
import * as z from 'zod';
import { isWebhookSecret, webhookSecretRule } from './webhook-secret.ts';

export const notifyVariables = {
  NOTIFY_URL: z
    .string()
    .refine((value) => /^https?:$/.test(URL.parse(value)?.protocol ?? ''), 'is not an http or https URL')
    .optional(),
  /** Two, comma-separated, during rotation. */
  NOTIFY_SECRET: z
    .string()
    .default('')
    .transform((value) => value.split(',').map((item) => item.trim()))
    .transform((secrets) => secrets.filter((secret) => secret !== ''))
    .refine((secrets) => secrets.every(isWebhookSecret), `a secret ${webhookSecretRule}`),
};
