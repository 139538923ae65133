// Reads the claims of transactions' terminal identities by reference.
import { terminalKind } from '../../callback/identity.ts';
import type { Claim } from '../../store/accept/claims.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import type { BrandScope } from '../brand-scope.ts';

export function terminalClaims(
  { redis, queue }: BrandScope,
  references: readonly string[],
): Promise<(Claim | undefined)[]> {
  return findClaims(
    redis,
    queue,
    references.map((gatewayReference) => ({ gatewayReference, kind: terminalKind })),
  );
}
