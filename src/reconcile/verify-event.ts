// The events of `verify`, in both directions.
import type { Window } from './sweep/window-pages.ts';

export interface Difference {
  readonly brand: string;
  readonly gatewayReference: string;
  readonly merchantReference: string | null;
  /** `unreadable`: the gateway's record is damaged; `unknown-at-gateway`: received here, and forged or gone at the gateway. */
  readonly kind: 'not-received' | 'contradicts' | 'not-delivered' | 'unreadable' | 'unknown-at-gateway';
  /** `success 100KES`; if unreadable, the reason */
  readonly atGateway: string;
  /** `failed`, or `success 100KES, retrying`; '' if nothing was received. */
  readonly here: string;
}

export type VerifyEvent =
  | { readonly kind: 'difference'; readonly difference: Difference }
  /** Once per window. */
  | { readonly kind: 'compared'; readonly brand: string; readonly window: Window; readonly terminal: number }
  | { readonly kind: 'failed'; readonly brand: string; readonly reason: string };

/** `success 100KES` */
export function said(status: string | null, amount: string): string {
  return `${status ?? ''} ${amount}`.trim();
}
