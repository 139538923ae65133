// Entries for the spool's tests.
import type { SpoolEntry, SpoolQueue } from '../../src/intake/spool/spool.ts';

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
  return { kind: 'callback', brand, nonce: `.${gatewayReference}`, data };
}

/** A refused request, as the quarantine spools it. */
export function refusedEntry(id: string, body: Buffer, brand = 'default'): SpoolEntry {
  const described = { reason: 'not-json', detail: '', requestId: 'r', receivedAtMs: Date.now(), headers: {} };
  return {
    kind: 'quarantine',
    brand,
    nonce: id,
    data: JSON.stringify({ ...described, body: body.toString('base64') }),
  };
}

/** The queue of a brand's callbacks. */
export function callbacksOf(brand = 'default'): SpoolQueue {
  return { kind: 'callback', brand };
}
