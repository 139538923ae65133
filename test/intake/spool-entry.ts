// Entries for the spool's tests.
import type { SpoolEntry } from '../../src/intake/spool/spool.ts';

export function spoolEntry(gatewayReference: string, brand = 'default', bodyBytes = 300): SpoolEntry {
  const body = JSON.stringify({ status: 'success', gatewayReference, note: 'x'.repeat(bodyBytes) });
  const data = JSON.stringify({
    version: 1,
    brand,
    source: 'callback',
    gatewayReference,
    merchantReference: null,
    status: 'success',
    type: 'payin',
    receivedAt: '2026-11-24T08:00:00.000Z',
    requestId: 'request-1',
    body,
  });
  return { brand, nonce: `.${gatewayReference}`, data };
}
