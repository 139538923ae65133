// What a route needs, and which token has it. Each route of the operator's listener names its need, or the listener does not
// start (operator-server.ts), so that none is open because somebody forgot.
import type { Right } from '../../config/ops-tokens.ts';
import type { Actor } from '../audit.ts';

/** `nothing`: no token at all (probes, metrics, style sheets); `token`: whichever. */
export const needs = ['nothing', 'token', 'expect', 'read', 'change'] as const;
export type Need = (typeof needs)[number];

const granted: Readonly<Record<Right, ReadonlySet<Need>>> = {
  everything: new Set(['token', 'expect', 'read', 'change']),
  read: new Set(['token', 'read']),
  support: new Set(['token', 'read']),
  expect: new Set(['token', 'expect']),
};

export function grants(right: Right, need: Need): boolean {
  return granted[right].has(need);
}

/** Whoever asks: for the audit trail, and for what is shown. */
export interface Asker extends Actor {
  readonly mayChange: boolean;
  /** Bodies of callbacks and what merchants answered: personal data. */
  readonly mayReveal: boolean;
}

export function askerOf(actor: Actor, right: Right): Asker {
  return { ...actor, mayChange: grants(right, 'change'), mayReveal: right === 'everything' || right === 'read' };
}
