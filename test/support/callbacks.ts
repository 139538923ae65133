// Callbacks for tests: the gateway's documented example, with its spacing and `100.00`, under any reference.
import { parseCallbackText, type Callback } from '../../src/callback/parse-callback.ts';

export const testKey = 'test-key-0123456789abcdef';

export interface CallbackFields {
  readonly reference?: string;
  readonly merchantReference?: string;
  readonly status?: string;
  readonly amount?: string;
}

let count = 0;

/** A reference that no other test uses. */
export function newReference(): string {
  count += 1;
  return `b2p${process.pid.toString(36)}${Date.now().toString(36)}${count.toString(36).padStart(6, '0')}`;
}

export function callbackBody(fields: CallbackFields = {}): string {
  const { reference = newReference(), merchantReference = 'quickstart-001' } = fields;
  const { status = 'success', amount = '100.00' } = fields;
  return `{
  "status": ${JSON.stringify(status)}, "type": "payin", "flow": "direct",
  "gatewayReference": ${JSON.stringify(reference)},
  "merchantReference": ${JSON.stringify(merchantReference)},
  "method": "mpesa-ke", "country": "KE",
  "requestedAmount": { "value": 100.00, "currency": "KES" },
  "finalAmount":     { "value": ${amount}, "currency": "KES" },
  "createdAt":   "2024-06-01T12:34:56.000000Z",
  "completedAt": "2024-06-01T12:35:12.000000Z",
  "completionSource": "webhook",
  "errorCode": null, "errorMessage": null,
  "providerData": { "name": "mpesa", "title": "M-Pesa Kenya", "fee": { "value": 2.00, "currency": "KES" } }
}`;
}

export function callbackOf(fields: CallbackFields = {}): Callback {
  const parsed = parseCallbackText(callbackBody(fields));
  if (parsed.kind !== 'callback') throw new Error(`not a callback: ${parsed.kind}`);
  return parsed.callback;
}
