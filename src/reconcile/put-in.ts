// Puts a transaction that reconciliation found through the intake door, and logs it. The one place where that happens.
import type { Callback } from '../callback/parse-callback.ts';
import type { Claim } from '../queue/claims.ts';
import type { BrandScope } from './brand-scope.ts';

export type FoundBy = 'records' | 'status' | 'correction';

export type PutIn =
  /** Durably stored: it will be delivered. */
  | 'stored'
  /** It had come meanwhile, or is no longer news. */
  | 'known'
  /** Nothing could be stored now. */
  | 'unavailable';

export interface Found {
  readonly callback: Callback;
  readonly source: FoundBy;
  readonly requestId: string;
  /** The claim whose job was removed before it was delivered. */
  readonly removed?: Claim | undefined;
}

export async function putIn(scope: BrandScope, { callback, source, requestId, removed }: Found): Promise<PutIn> {
  const { brand, intake, clock, log, metrics } = scope;
  const receivedAt = new Date(clock.now()).toISOString();
  const outcome = await intake.accept({
    callback,
    origin: { brand, source, receivedAt, requestId },
    insteadOf: removed?.nonce,
  });
  const { gatewayReference, status } = callback;
  log.info({
    event: 'reconcile.put_in',
    brand,
    gatewayReference,
    status,
    source,
    requestId,
    ...(removed !== undefined && { wasRemoved: true }),
    outcome: outcome.kind,
    ...(outcome.kind === 'unavailable' && { reason: outcome.reason }),
  });
  switch (outcome.kind) {
    case 'queued':
    case 'spooled':
      if (source !== 'correction') metrics?.reconciliationMissing.inc();
      return 'stored';
    case 'duplicate':
    case 'conflict':
    case 'ignored':
      return 'known';
    case 'unavailable':
      return 'unavailable';
  }
}
