// The Standard Webhooks signature of deliveries and notifications.
import { createHmac } from 'node:crypto';

export interface SignedContent {
  readonly webhookId: string;
  readonly timestampSeconds: number;
  readonly body: string;
}

/** One `v1,<base64>` per secret: during a rotation the receiver may hold either. */
export function sign({ webhookId, timestampSeconds, body }: SignedContent, secrets: readonly Buffer[]): string {
  const content = `${webhookId}.${timestampSeconds}.${body}`;
  return secrets.map((secret) => `v1,${createHmac('sha256', secret).update(content).digest('base64')}`).join(' ');
}

/** The key bytes of a `whsec_...` secret. */
export function secretKey(secret: string): Buffer {
  return Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
}
