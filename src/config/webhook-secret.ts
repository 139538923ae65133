// A Standard Webhooks secret: `whsec_` and base64 that every library of the standard can decode.
//
// Node's decoder accepts what decoders in Go, Python or Rust refuse: missing padding, an impossible length, trailing bits,
// spaces. Refusing the start spares the merchant from finding out at its first delivery.

/** Completes "... secret": what is wrong with a secret that `isWebhookSecret` refuses, and how to make a good one. */
export const webhookSecretRule =
  'must be whsec_ followed by padded base64 of at least 12 bytes (make one: echo whsec_$(openssl rand -base64 32))';

const charactersMin = 16;

export function isWebhookSecret(text: string): boolean {
  const base64 = /^whsec_(.+)$/s.exec(text)?.[1] ?? '';
  return base64.length >= charactersMin && Buffer.from(base64, 'base64').toString('base64') === base64;
}
