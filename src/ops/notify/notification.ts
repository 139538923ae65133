// What a notification looks like: one change worth a person's attention.
import * as z from 'zod';

const severities = ['info', 'warning', 'critical'] as const;

export const notificationSchema = z.object({
  /** Its identity over all attempts, in the header `webhook-id`. */
  id: z.string(),
  /** When it was put down, in ms. */
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
