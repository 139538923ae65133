// Checks whether the gateway accepts a brand's key, with the cheapest possible call. Used at start and by `doctor`.
import type { GatewayClient } from './gateway-client.ts';
import { describeFailure } from './gateway-client.ts';

export type GatewayCheck =
  | { readonly kind: 'ok' }
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'unavailable'; readonly reason: string };

export async function checkGateway(gateway: GatewayClient, nowMs: number, signal: AbortSignal): Promise<GatewayCheck> {
  const answer = await gateway.records({ fromMs: nowMs - 1_000, toMs: nowMs, pageSize: 1 }, signal);
  if (answer.kind === 'page') return { kind: 'ok' };
  return answer.kind === 'unauthorized' ? answer : { kind: 'unavailable', reason: describeFailure(answer) };
}
