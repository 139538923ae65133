// What the operator API shows of a callback.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Stage } from './stage.ts';

const lookEveryMs = 50;

const viewSchema = z.object({
  state: z.string(),
  confirmed: z.string().nullable(),
  heldReason: z.string().nullable(),
});
export type View = z.infer<typeof viewSchema>;

/** Polls until the condition holds. */
export async function untilView(
  { consoleUrl }: Pick<Stage, 'consoleUrl'>,
  gatewayReference: string,
  isSo: (view: View) => boolean,
): Promise<View> {
  if (consoleUrl === undefined) throw new Error('The service has no operator listener.');
  for (;;) {
    const answer = await fetch(`${consoleUrl}v1/callbacks/${gatewayReference}`);
    const view = answer.ok ? viewSchema.parse(await answer.json()) : undefined;
    if (view !== undefined && isSo(view)) return view;
    await delay(lookEveryMs);
  }
}
