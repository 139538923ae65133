// The headers of a delivery, as the contract lists them, and the Standard Webhooks signature.
//
// Every value is encoded as valid header text, so that no reference (Cyrillic, a line break, a lone surrogate) can fail an
// attempt. Our headers win over FORWARD_HEADERS; those that would break the request itself are never sent.
import { sign } from '../../http/webhook-signature.ts';
import { amountCheckOf } from '../../callback/amount-check.ts';
import type { Delivery } from '../attempt.ts';

export function deliveryHeaders(delivery: Delivery, secrets: readonly Buffer[], nowMs: number): Record<string, string> {
  const { job, webhookId, sequence, attempt, confirmed } = delivery;
  const amountCheck = amountCheckOf(job);
  const timestampSeconds = Math.floor(nowMs / 1_000);
  return {
    'content-type': 'application/json',
    'webhook-id': webhookId,
    'webhook-timestamp': String(timestampSeconds),
    ...(secrets.length > 0 && { 'webhook-signature': sign({ webhookId, timestampSeconds, body: job.body }, secrets) }),
    'payalo-gateway-reference': encodeHeaderText(job.gatewayReference),
    'payalo-brand': encodeHeaderText(job.brand),
    'payalo-source': job.source,
    'payalo-attempt': String(attempt),
    'payalo-request-id': encodeHeaderText(job.requestId),
    'payalo-sequence': String(sequence),
    'payalo-confirmed': confirmed,
    ...(amountCheck !== undefined && { 'payalo-amount-check': amountCheck }),
    ...(job.traceparent !== undefined && { traceparent: encodeHeaderText(job.traceparent) }),
  };
}

/** Percent-encodes everything but visible ASCII, and `%` itself, so that decodeURIComponent restores the text. */
export function encodeHeaderText(text: string): string {
  return text.toWellFormed().replace(/[^\x21-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character));
}

/**
 * Headers that belong to the connection; a configured value would fail every request, or every one over HTTP/2 (RFC 9113,
 * 8.2.2) or through a proxy. Never sent, since the merchant's server chooses the protocol.
 */
const reserved = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The names of those that are never sent, as they are written. */
export function reservedNames(headers: Readonly<Record<string, string>>): string[] {
  return Object.keys(headers).filter((name) => reserved.has(name.toLowerCase()));
}

/** The configured headers with lower-case names, plus the URL's user info as Basic credentials. */
export function configuredHeaders(url: URL, headers: Readonly<Record<string, string>>): Record<string, string> {
  // Spaces around a value are ignored in HTTP/1.1 and an error in HTTP/2.
  const own = Object.entries(headers).map(([name, value]): [string, string] => [name.toLowerCase(), value.trim()]);
  return {
    ...basicCredentials(url),
    ...Object.fromEntries(own.filter(([name]) => !reserved.has(name))),
  };
}

function basicCredentials(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const text = `${decode(url.username)}:${decode(url.password)}`;
  return { authorization: `Basic ${Buffer.from(text).toString('base64')}` };
}

/** URLs may hold a bare `%`. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
