// What a route needs, and which tokens have it. Every route of the operator's listener must name its need, or the listener
// does not start (operator-server.ts), so that no route is open by mistake.
import type { Right } from '../../config/ops-tokens.ts';
import type { Actor } from '../audit.ts';

/** `nothing`: no token at all (probes, metrics, style sheets); `token`: any token. */
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

/** Who asked: for the audit trail, and to decide what is shown. */
export interface Asker extends Actor {
  readonly mayChange: boolean;
  /** Whether bodies of callbacks and the merchant's answers are shown: personal data. */
  readonly mayReveal: boolean;
}

export function askerOf(actor: Actor, right: Right): Asker {
  return { ...actor, mayChange: grants(right, 'change'), mayReveal: right === 'everything' || right === 'read' };
}
