// Puts a transaction that reconciliation found through the intake door, and logs it. The one place where that happens.
import type { Callback } from '../callback/parse-callback.ts';
import type { BrandScope } from './brand-scope.ts';

export type FoundBy = 'records' | 'status' | 'correction';

export type PutIn =
  /** Durably stored: it will be delivered. */
  | 'stored'
  /** It had come meanwhile, or is no longer news. */
  | 'known'
  /** Nothing could be stored now. */
  | 'unavailable';

export async function putIn(
  scope: BrandScope,
  { callback, source, requestId }: { callback: Callback; source: FoundBy; requestId: string },
): Promise<PutIn> {
  const { brand, intake, clock, log, metrics } = scope;
  const receivedAt = new Date(clock.now()).toISOString();
  const outcome = await intake.accept({ callback, origin: { brand, source, receivedAt, requestId } });
  const { gatewayReference, status } = callback;
  log.info({
    event: 'reconcile.put_in',
    brand,
    gatewayReference,
    status,
    source,
    requestId,
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
