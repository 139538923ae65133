// The doctor's HTTP checks: does the merchant answer, and does the public URL lead to this receiver.
import * as z from 'zod';
import { request } from 'undici';
import type { ClientTls } from '../../config/client-tls.ts';
import type { Brand } from '../../config/brands.ts';
import type { Config } from '../../config/config.ts';
import { createHttpPool } from '../../http/http-pool.ts';
import type { ProxySettings } from '../../config/proxy.ts';
import { ok, problem, warning, type Check } from './check.ts';
import { parseJson } from '../../callback/json-text.ts';

const timeoutMs = 5_000;
const bodyCharactersMax = 2_000;

/** Uses HEAD, which no endpoint takes for a delivery; any answer shows that it is up. */
export async function checkMerchant(
  { name: brand, forwardUrl, forwardTls }: Brand,
  config: ProxySettings & Pick<Config, 'HANDLER_MODULE'>,
): Promise<Check> {
  const { HANDLER_MODULE: handlerModule } = config;
  const name = `merchant of ${brand}`;
  if (handlerModule !== undefined) {
    return ok(name, `HANDLER_MODULE ${handlerModule} is called.`);
  }
  if (forwardUrl === undefined) {
    const fix = 'Set FORWARD_URL, or run a BullMQ worker of your own.';
    return warning(name, 'FORWARD_URL is not set: callbacks wait in the queue.', fix);
  }
  const shown = withoutUserInfo(forwardUrl);
  const answer = await ask(forwardUrl, { method: 'HEAD', proxies: config, tls: forwardTls });
  if (answer.kind === 'failed') {
    const fix = 'Start it, and check FORWARD_URL, DNS, certificate and firewall. Callbacks wait meanwhile.';
    return problem(name, `${shown} does not answer: ${answer.reason}.`, fix);
  }
  const detail = `${shown} answers (${answer.status} to a HEAD).`;
  if (answer.status < 500) return ok(name, detail);
  return warning(name, detail, 'Check its log: it answers with a server error.');
}

/** Calls as the gateway does: once without a key, and once with a `pending` callback, which is not forwarded. */
export async function checkPublicWay(
  url: string,
  apiKey: string | undefined,
  proxies: ProxySettings,
): Promise<Check[]> {
  return [await checkWithoutKey(url, proxies), await checkPending(url, apiKey, proxies)];
}

async function checkWithoutKey(url: string, proxies: ProxySettings): Promise<Check> {
  const name = 'public way in, without a key';
  const answer = await ask(url, { method: 'POST', body: '{}', proxies });
  if (answer.kind === 'failed') return unreachable(name, url, answer.reason);
  if (answer.status === 401) return ok(name, '401, as it should be.');
  const fix =
    answer.status === 200
      ? 'This is not the receiver, or it accepts requests without a key: check what answers there.'
      : 'Something else answers there: check the path (CALLBACK_PATH), the balancer and its rules.';
  return problem(name, `${answer.status} instead of 401.`, fix);
}

async function checkPending(url: string, apiKey: string | undefined, proxies: ProxySettings): Promise<Check> {
  const name = 'public way in, a pending callback';
  if (apiKey === undefined) {
    const fix = 'Set PAYALO_API_KEYS as the receiver has it, and run the doctor again.';
    return warning(name, 'Not tried: no key is configured here.', fix);
  }
  const body = JSON.stringify({ status: 'pending', gatewayReference: 'payalo-receiver-doctor' });
  const answer = await ask(url, { method: 'POST', body, apiKey, proxies });
  if (answer.kind === 'failed') return unreachable(name, url, answer.reason);
  const ignored = z.object({ ignored: z.literal('pending') }).safeParse(parseJson(answer.body));
  if (answer.status === 200 && ignored.success) {
    return ok(name, '200 and ignored, as it should be.');
  }
  const detail = `${answer.status} instead of 200 with "ignored": "pending".`;
  const fix =
    answer.status === 401
      ? 'The key did not arrive: the receiver has other keys, or a balancer drops the header X-API-KEY.'
      : 'Something else answers there: check the path (CALLBACK_PATH), the balancer and its rules.';
  return problem(name, detail, fix);
}

function unreachable(name: string, url: string, reason: string): Check {
  const fix = 'Check DNS, the certificate, the balancer and the firewall on the way from the internet.';
  return problem(name, `${withoutUserInfo(url)} does not answer: ${reason}.`, fix);
}

interface Ask {
  readonly method: 'HEAD' | 'POST';
  readonly body?: string;
  readonly apiKey?: string;
  readonly proxies: ProxySettings;
  readonly tls?: ClientTls | undefined;
}

type HttpAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  | { readonly kind: 'failed'; readonly reason: string };

async function ask(url: string, { method, body, apiKey, proxies, tls }: Ask): Promise<HttpAnswer> {
  const target = URL.parse(url);
  if (target === null) return { kind: 'failed', reason: 'it is not a URL' };
  target.username = '';
  target.password = '';
  const { dispatcher } = createHttpPool(url, { proxies, tls, connectionsMax: 1, connectTimeoutMs: timeoutMs });
  try {
    const response = await request(target, {
      method,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(apiKey !== undefined && { 'x-api-key': apiKey }),
      },
      ...(body !== undefined && { body }),
      signal: AbortSignal.timeout(timeoutMs),
      dispatcher,
    });
    const text = (await response.body.text()).slice(0, bodyCharactersMax);
    return { kind: 'answer', status: response.statusCode, body: text };
  } catch (error) {
    return { kind: 'failed', reason: reasonOf(error) };
  } finally {
    await dispatcher.destroy();
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  return 'code' in error ? `${String(error.code)}, ${error.message}` : error.message;
}

/** A URL's password must not end up in a ticket. */
function withoutUserInfo(url: string): string {
  const target = URL.parse(url);
  return target === null ? url : `${target.origin}${target.pathname}`;
}
