// One attempt to POST a notification to NOTIFY_URL, signed like deliveries if NOTIFY_SECRET is set.
//
// Slack's incoming webhooks show `text` and ignore the rest. Mattermost answers 400, because it uses `type` itself: such a
// receiver gets only the text. Never throws.
import { request } from 'undici';
import { isSuccess } from '../../http/http-answer.ts';
import { createHttpPool, type Egress } from '../../http/http-pool.ts';
import { secretKey, sign } from '../../http/webhook-signature.ts';
import type { Notification } from './notification.ts';

export type Posted = { readonly kind: 'sent' } | { readonly kind: 'failed'; readonly reason: string };

export interface PosterOptions extends Egress {
  readonly url: string;
  readonly secrets: readonly string[];
  readonly now?: () => number;
}

export type Post = (notification: Notification, stop: AbortSignal) => Promise<Posted>;

const timeoutMs = 10_000;

export function createPoster({ url: text, secrets, proxies, lookup, now = Date.now }: PosterOptions) {
  const url = new URL(text);
  const keys = secrets.map(secretKey);
  const { username, password } = url;
  const login =
    username === '' && password === '' ? undefined : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  url.username = '';
  url.password = '';
  const pool = createHttpPool(text, { connectionsMax: 1, connectTimeoutMs: timeoutMs, proxies, lookup });
  let takesTextOnly = false;

  async function send(webhookId: string, body: string, stop: AbortSignal): Promise<number> {
    const timestampSeconds = Math.floor(now() / 1_000);
    const response = await request(url, {
      method: 'POST',
      dispatcher: pool.dispatcher,
      signal: AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]),
      headers: {
        'content-type': 'application/json',
        'webhook-id': webhookId,
        'webhook-timestamp': String(timestampSeconds),
        ...(keys.length > 0 && { 'webhook-signature': sign({ webhookId, timestampSeconds, body }, keys) }),
        ...(login !== undefined && { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
      },
      body,
    });
    response.body.on('error', () => undefined).destroy(); // nobody reads the answer
    return response.statusCode;
  }

  const post: Post = async ({ id, body }, stop) => {
    const whole = JSON.stringify(body);
    const short = JSON.stringify({ text: body.text });
    try {
      let status = await send(id, takesTextOnly ? short : whole, stop);
      if (status === 400 && !takesTextOnly) {
        status = await send(id, short, stop);
        takesTextOnly = isSuccess(status);
      }
      return isSuccess(status) ? { kind: 'sent' } : { kind: 'failed', reason: `HTTP ${status}` };
    } catch (error) {
      return { kind: 'failed', reason: reasonOf(error) };
    }
  };

  return { post, close: () => pool.dispatcher.destroy() };
}

/** A short code; no message, since the URL may be a secret. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
