// Reports the gateway's answer about a callback: in the log and in `payalo_confirmations_total`.
import type { ConfirmationOutcome } from '../../store/confirmation/settle-confirmation.ts';
import type { BrandScope } from '../brand-scope.ts';

export interface ReportedCallback {
  readonly gatewayReference: string;
  readonly kind: string;
  readonly requestId: string;
  /** The gateway's status; null if it does not know the transaction. */
  readonly atGateway?: string | null;
}

/** An answer that is not new is not reported. */
export function reportConfirmation(
  { brand, log, metrics }: BrandScope,
  context: ReportedCallback,
  outcome: ConfirmationOutcome,
): void {
  const line = { brand, ...context };
  switch (outcome) {
    case 'yes':
      metrics?.confirmations.inc({ outcome: 'confirmed' });
      return;
    case 'released':
      metrics?.confirmations.inc({ outcome: 'confirmed' });
      log.info({ event: 'confirmation.released', ...line });
      return;
    case 'no':
    case 'held':
      metrics?.confirmations.inc({ outcome: 'denied' });
      log.warn({ event: 'confirmation.denied', ...line, held: outcome === 'held' });
      return;
    case 'open':
      metrics?.confirmations.inc({ outcome: 'differs' });
      log.warn({ event: 'confirmation.differs', ...line });
      return;
    case '':
      return;
  }
}
