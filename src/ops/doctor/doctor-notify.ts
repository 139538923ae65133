// `doctor --notify`: sends a test notification and reports whether it was accepted.
import { randomUUID } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import { createPoster } from '../notify/post-notification.ts';
import { ok, problem, type Check } from './check.ts';

const name = 'notifications';

export async function checkNotify(config: Config, nowMs: number): Promise<Check> {
  const { NOTIFY_URL: url, NOTIFY_SECRET: secrets } = config;
  if (url === undefined) {
    const fix = 'Set NOTIFY_URL, such as an incoming webhook of Slack or Mattermost.';
    return problem(name, 'NOTIFY_URL is not set: nobody is notified.', fix);
  }
  const poster = createPoster({ url, secrets, proxies: config });
  const text = 'This is a test of payalo-receiver: notifications arrive here.';
  const body = { type: 'test', severity: 'info', text, since: new Date(nowMs).toISOString() } as const;
  const posted = await poster.post({ id: `msg_${randomUUID()}`, atMs: nowMs, body }, new AbortController().signal);
  await poster.close();
  if (posted.kind === 'sent') {
    const signed = secrets.length > 0 ? 'signed' : 'unsigned, since NOTIFY_SECRET is not set';
    return ok(name, `A test notification was accepted (${signed}).`);
  }
  const fix = 'Check NOTIFY_URL, DNS, the firewall, and whether the webhook still exists there.';
  return problem(name, `NOTIFY_URL did not accept a test notification: ${posted.reason}.`, fix);
}
