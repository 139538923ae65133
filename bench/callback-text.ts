// The callback that every contestant gets: the gateway's documented example, with a reference of fixed length.
//
// A label contains `sentAt`, so that the merchant can measure the end-to-end latency.

export const benchKey = 'bench-key-0123456789abcdef';

const referenceLength = 33; // as long as the gateway's example

/** Distinct for each `run` and `index`. */
export function referenceOf(run: string, index: number): string {
  return `${run}${String(index).padStart(referenceLength - run.length, '0')}`;
}

export function callbackText(reference: string, sentAtMs = 0): string {
  return `{
  "status": "success", "type": "payin", "flow": "direct",
  "gatewayReference": "${reference}",
  "merchantReference": "order-${reference}",
  "method": "mpesa-ke", "country": "KE",
  "requestedAmount": { "value": 100.00, "currency": "KES" },
  "finalAmount":     { "value": 100.00, "currency": "KES" },
  "createdAt":   "2024-06-01T12:34:56.000000Z",
  "completedAt": "2024-06-01T12:35:12.000000Z",
  "completionSource": "webhook",
  "labels": { "sentAt": "${sentAtMs.toFixed(3)}" },
  "errorCode": null, "errorMessage": null,
  "providerData": { "name": "mpesa", "title": "M-Pesa Kenya", "fee": { "value": 2.00, "currency": "KES" } }
}`;
}

/** The callback's `sentAt`, ms since the epoch; undefined if it has none. */
export function sentAtOf(text: string): number | undefined {
  const found = /"sentAt": "([\d.]+)"/.exec(text)?.[1];
  return found === undefined || Number(found) === 0 ? undefined : Number(found);
}

/** Milliseconds since the epoch, with fractions; one clock for all processes on a machine. */
export function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}
