// How a report is read, whoever reads it: reconciliation does, for the operator's listener and the command.
import type { ReportRow } from './report-row.ts';

export interface ReportPeriod {
  /** Of creation at the gateway, inclusive. */
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  readonly brand?: string | undefined;
}

export type ReportEvent =
  | { readonly kind: 'rows'; readonly rows: readonly ReportRow[] }
  /** Of all brands, a share of 1. */
  | { readonly kind: 'progress'; readonly share: number }
  /** Of callbacks that came in the period, those that the gateway does not know. At the end. */
  | { readonly kind: 'denied'; readonly denied: number }
  | { readonly kind: 'failed'; readonly brand: string; readonly reason: string }
  /** No brand has a gateway to ask. */
  | { readonly kind: 'no-gateway' };

/** Ends where the signal aborts (rejects). */
export type ReadReport = (period: ReportPeriod, signal: AbortSignal) => AsyncGenerator<ReportEvent>;
