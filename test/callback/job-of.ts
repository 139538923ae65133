// Callbacks and their origins, for tests that create jobs.
import type { JobOrigin } from '../../src/callback/job.ts';
import type { Callback } from '../../src/callback/parse-callback.ts';

export const aCallback: Callback = {
  gatewayReference: 'b2p01j3abcdef0000000000000000a1b2',
  merchantReference: 'quickstart-001',
  status: 'success',
  type: 'payin',
  finalAmount: { value: '100', currency: 'KES' },
  body: '{"gatewayReference":"b2p01j3abcdef0000000000000000a1b2"}',
};

export const anOrigin: JobOrigin = {
  brand: 'default',
  source: 'callback',
  receivedAt: '2026-11-27T12:00:00.000Z',
  requestId: 'request-1',
};
