// Builds a callback from a quarantined body, for its release.
//
// Promises: the body's text stays as received; only what the queue needs besides is parsed leniently.
import { parseCallback, parseCallbackText, referenceProblem, type Callback } from '../../callback/parse-callback.ts';

export type ReadQuarantined =
  | { readonly kind: 'callback'; readonly callback: Callback }
  | { readonly kind: 'bad-reference'; readonly detail: string }
  | { readonly kind: 'unreadable'; readonly detail: string };

/** The callback in a quarantined body, under the operator's reference if the body names no usable one. */
export function readQuarantined(raw: Buffer, reference: string | undefined): ReadQuarantined {
  const parsed = parseCallback(raw);
  if (parsed.kind === 'callback') {
    const own = parsed.callback.gatewayReference;
    if (reference === undefined || reference === own) return parsed;
    return { kind: 'bad-reference', detail: 'The body names another gatewayReference; leave yours out.' };
  }
  const body = raw.toString('utf8');
  if (!Buffer.from(body).equals(raw)) {
    return {
      kind: 'unreadable',
      detail: 'The body is not UTF-8 text; look the transaction up at the gateway instead.',
    };
  }
  const problem = referenceProblem(reference);
  if (problem !== undefined || reference === undefined) {
    return { kind: 'bad-reference', detail: problem ?? 'gatewayReference is missing.' };
  }
  // Appended to the text, where the last value wins: parsing and re-serialising would change amounts.
  const name = `"gatewayReference":${JSON.stringify(reference)}}`;
  const patched = body.replace(/,?\s*\}\s*$/, () => `,${name}`).replace(/^([\uFEFF\s]*)\{\s*,/, '$1{');
  const read = parseCallbackText(patched);
  if (read.kind === 'callback') return { kind: 'callback', callback: { ...read.callback, body } };
  const bare = { gatewayReference: reference, merchantReference: null, status: null, type: null, finalAmount: null };
  return { kind: 'callback', callback: { ...bare, body } };
}
