// Hands a transaction that reconciliation found to intake, and logs it. The only code that does.
import type { Callback } from '../callback/parse-callback.ts';
import { replacedBy, type Claim } from '../store/accept/claims.ts';
import type { BrandScope } from './brand-scope.ts';

export type FoundBy =
  | { readonly source: 'records' | 'status' }
  /** `replaces`: the claim that the classification was based on. */
  | {
      readonly source: 'correction';
      readonly replaces: Claim;
      /** Status and amount agree with the claim; the received body differs in another field. */
      readonly isOfAltered?: boolean;
    };

export type Injection =
  /** Durably stored: it will be delivered. */
  | 'stored'
  /** It arrived meanwhile, or is no longer new. */
  | 'known'
  /** A correction of a state that has changed since: classify it again. */
  | 'overtaken'
  /** Nothing could be stored now. */
  | 'unavailable';

export type Found = FoundBy & {
  readonly callback: Callback;
  readonly requestId: string;
  /** The claim whose job was removed before it was delivered. */
  readonly removed?: Claim | undefined;
};

export async function inject(scope: BrandScope, found: Found): Promise<Injection> {
  const { callback, source, requestId, removed } = found;
  const { brand, intake, clock, log, metrics } = scope;
  const receivedAt = new Date(clock.now()).toISOString();
  const replaces = found.source === 'correction' ? replacedBy(found.replaces, found.isOfAltered) : undefined;
  const outcome = await intake.accept({
    callback,
    origin: { brand, source, receivedAt, requestId, replaces },
    insteadOf: removed?.nonce,
  });
  const { gatewayReference, status } = callback;
  log.info({
    event: 'reconcile.injected',
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
    case 'overtaken':
      return 'overtaken';
    case 'unavailable':
      return 'unavailable';
  }
}
