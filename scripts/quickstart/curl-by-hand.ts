// The command that a newcomer pastes to send one callback as the gateway.
import type { Stage } from './stage.ts';

export function curlByHand({ resultUrl, apiKey }: Pick<Stage, 'resultUrl' | 'apiKey'>): string {
  const body = [
    '{ "status": "success", "type": "payin", "gatewayReference": "by-hand-001", "merchantReference": "order-1001",',
    '  "finalAmount": { "value": 100.00, "currency": "KES" } }',
  ].join('\n    ');
  return [
    `curl -i ${resultUrl} \\`,
    `  -H 'Content-Type: application/json' -H 'X-API-KEY: ${apiKey}' \\`,
    `  -d '${body}'`,
  ].join('\n');
}
