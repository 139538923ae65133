// The shape of a notification: one change that deserves a person's attention.
import * as z from 'zod';

const severities = ['info', 'warning', 'critical'] as const;

export const notificationSchema = z.object({
  /** The same for all attempts; sent as `webhook-id`. */
  id: z.string(),
  /** When it was created, in ms. */
  atMs: z.number(),
  body: z.object({
    type: z.string(),
    severity: z.enum(severities),
    /** One plain sentence for people, without personal data. */
    text: z.string(),
    since: z.iso.datetime(),
    count: z.int().optional(),
    brand: z.string().optional(),
    references: z.array(z.string()).optional(),
  }),
});

export type Notification = z.infer<typeof notificationSchema>;
export type NotificationBody = Notification['body'];
