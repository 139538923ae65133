// A forged callback: anyone with the API key can send one. The service asks the gateway before it delivers, and holds it.
// Fails if the merchant gets it, or if it is not reported.
import { untilView } from './callback-view.ts';
import { inTime } from './in-time.ts';
import type { Stage } from './stage.ts';
import type { Terminal } from './terminal.ts';

export async function runForgery(stage: Stage, terminal: Terminal): Promise<void> {
  const { gateway, merchant, resultUrl } = stage;
  terminal.heading('A forged callback: somebody has the API key');
  const startedAtMs = Date.now();
  const step = (name: string, text: string) => terminal.step(Date.now() - startedAtMs, name, text);

  const { gatewayReference, httpStatus } = await gateway.forge({ resultUrl, amount: '5000.00' });
  step('forged', `success, 5000.00 KES, with the genuine key: answered ${httpStatus ?? 'nothing'}`);
  terminal.detail(gatewayReference);
  if (httpStatus !== 200) throw new Error(`The service did not accept the callback: ${httpStatus ?? 'no answer'}.`);

  const isHeld = untilView(stage, gatewayReference, ({ state }) => state === 'held');
  const { heldReason } = await inTime(isHeld, 'It was not held');
  step('held', heldReason ?? 'without a reason');
  if (merchant.deliveriesOf(gatewayReference).length > 0) throw new Error('The merchant got the forged callback.');
  terminal.success('The forged callback was caught: the merchant never saw it. The console shows it.');
}
