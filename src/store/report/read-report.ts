// The interface through which reports are read; reconciliation implements it for the operator's listener and the command.
import type { ReportRow } from './report-row.ts';

export interface ReportPeriod {
  /** Creation time at the gateway, inclusive. */
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  readonly brand?: string | undefined;
}

export type ReportEvent =
  | { readonly kind: 'rows'; readonly rows: readonly ReportRow[] }
  /** Over all brands, as a share of 1. */
  | { readonly kind: 'progress'; readonly share: number }
  /** Callbacks of the period that the gateway does not know. Comes at the end. */
  | { readonly kind: 'denied'; readonly denied: number }
  | { readonly kind: 'failed'; readonly brand: string; readonly reason: string }
  /** No brand has a gateway to ask. */
  | { readonly kind: 'no-gateway' };

/** Rejects when the signal aborts. */
export type ReadReport = (period: ReportPeriod, signal: AbortSignal) => AsyncGenerator<ReportEvent>;
