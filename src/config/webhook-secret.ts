// A secret of Standard Webhooks: `whsec_` and base64, such as every library of the standard can load.
//
// Node's decoder forgives what one or another of Go's, Python's and Rust's refuses: missing padding, an impossible length,
// a last character whose bits mean nothing, spaces. A merchant would find that out at its first delivery, so the start is
// refused instead.

/** Completes "... secret": what is wrong with one that `isWebhookSecret` refuses, and how to make a good one. */
export const webhookSecretRule =
  'must be whsec_ followed by padded base64 of at least 12 bytes (make one: echo whsec_$(openssl rand -base64 32))';

const charactersMin = 16;

export function isWebhookSecret(text: string): boolean {
  const base64 = /^whsec_(.+)$/s.exec(text)?.[1] ?? '';
  return base64.length >= charactersMin && Buffer.from(base64, 'base64').toString('base64') === base64;
}
