// The thread that a merchant's HANDLER_MODULE runs in: one callback at a time, so that ending a thread that hangs ends
// nothing else. Says `ready` or `unusable` once, then one outcome per callback. See handler-pool.ts for the other side.
import { parentPort, workerData } from 'node:worker_threads';
import * as z from 'zod';
import { answerBytesMax, type Delivery } from './attempt.ts';
import { toHandledCallback, type CallbackHandler } from './handled-callback.ts';
import { isPermanent } from './permanent-error.ts';

export type ThreadRequest = { readonly kind: 'handle'; readonly delivery: Delivery } | { readonly kind: 'abort' };

export const threadReply = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('unusable'), reason: z.string() }),
  z.object({ kind: z.literal('returned') }),
  z.object({ kind: z.literal('threw'), permanent: z.boolean(), error: z.string(), answer: z.string() }),
]);
export type ThreadReply = z.infer<typeof threadReply>;

export const threadData = z.object({ moduleUrl: z.string() });

const request = z.custom<ThreadRequest>((value) => typeof value === 'object' && value !== null && 'kind' in value);
const handlerSchema = z.custom<CallbackHandler>((value) => typeof value === 'function');

let running = new AbortController();

// Absent where a test or a tool merely imports this file.
if (parentPort !== null) await serve(parentPort, threadData.parse(workerData).moduleUrl);

async function serve(port: NonNullable<typeof parentPort>, moduleUrl: string): Promise<void> {
  const say = (reply: ThreadReply) => port.postMessage(reply);
  const handler = await load(moduleUrl);
  if ('reason' in handler) return say({ kind: 'unusable', reason: handler.reason });
  port.on('message', (message: unknown) => {
    const asked = request.parse(message);
    if (asked.kind === 'abort') return running.abort();
    void handle(handler.handler, asked.delivery).then(say);
  });
  say({ kind: 'ready' });
}

async function load(moduleUrl: string): Promise<{ handler: CallbackHandler } | { reason: string }> {
  try {
    const loaded: unknown = await import(moduleUrl);
    // TypeScript compiled to CommonJS has its default export inside the one that Node makes of the module.
    const found = defaultOf(loaded);
    const handler = handlerSchema.safeParse(typeof found === 'function' ? found : defaultOf(found));
    if (!handler.success) return { reason: 'its default export is not a function' };
    return { handler: handler.data };
  } catch (error) {
    return {
      reason: `importing it threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`,
    };
  }
}

function defaultOf(loaded: unknown): unknown {
  return typeof loaded === 'object' && loaded !== null && 'default' in loaded ? loaded.default : undefined;
}

async function handle(handler: CallbackHandler, delivery: Delivery): Promise<ThreadReply> {
  running = new AbortController();
  try {
    await handler(toHandledCallback(delivery, running.signal));
    return { kind: 'returned' };
  } catch (error) {
    const isError = error instanceof Error;
    const text = isError ? error.message : String(error);
    return {
      kind: 'threw',
      permanent: isPermanent(error),
      error: isError ? error.name : 'not an Error',
      answer: Buffer.from(text).subarray(0, answerBytesMax).toString(),
    };
  }
}
