// The process in which a merchant's HANDLER_MODULE runs, one callback at a time, so that whatever ends it ends nothing else.
// Says `ready` or `unusable` once, then one outcome per callback. See handler-child.ts for the other side.
//
// The lines go over a socket that only this file knows (descriptor 3); there is no `process.send` that a handler could use.
// Globals that are needed here are saved before the module is imported, since a module may overwrite them.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Worker } from 'node:worker_threads';
import * as z from 'zod';
import { answerBytesMax, type Delivery } from '../attempt.ts';
import { toHandledCallback, type CallbackHandler } from './handled-callback.ts';
import { isPermanent } from './permanent-error.ts';

/** `id` names the attempt; only an outcome with this id is accepted. */
export type ChildRequest =
  { readonly kind: 'handle'; readonly id: string; readonly delivery: Delivery } | { readonly kind: 'abort' };

export const childReply = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('unusable'), reason: z.string() }),
  z.object({ kind: z.literal('begun'), id: z.string() }),
  z.object({ kind: z.literal('returned'), id: z.string() }),
  z.object({
    kind: z.literal('threw'),
    id: z.string(),
    permanent: z.boolean(),
    error: z.string(),
    answer: z.string(),
  }),
  /** An error outside any promise that the handler returned: the process ends with it. */
  z.object({ kind: z.literal('failed'), error: z.string() }),
]);
export type ChildReply = z.infer<typeof childReply>;

/** The socket to the parent; and a second one that carries no data and closes when the parent ends. */
export const channelDescriptor = 3;
export const lifelineDescriptor = 4;

const request = z.custom<ChildRequest>((value) => typeof value === 'object' && value !== null && 'kind' in value);
const handlerSchema = z.custom<CallbackHandler>((value) => typeof value === 'function');

const { parse, stringify } = JSON;
const NewAbortController = AbortController;
const NamedError = Error;
const exit = process.exit.bind(process);

let running = new NewAbortController();

// Undefined if a test or a tool merely imports this file.
const [, , marker, moduleUrl] = process.argv;
if (marker === '--handler-module' && moduleUrl !== undefined) await serve(moduleUrl);

async function serve(url: string): Promise<void> {
  endWithParent();
  const channel = new Socket({ fd: channelDescriptor, readable: true, writable: true });
  channel.on('error', () => exit(1));
  channel.on('close', () => exit(0));
  const say = (reply: ChildReply, done?: () => void) => void channel.write(`${stringify(reply)}\n`, done);
  process.on('uncaughtException', (error: unknown) => {
    process.stderr.write(`HANDLER_MODULE: ${textOf(error, 'stack')}\n`);
    say({ kind: 'failed', error: nameOf(error) }, () => exit(1));
  });
  const handler = await load(url);
  if ('reason' in handler) return say({ kind: 'unusable', reason: handler.reason });
  forEachLine(channel, (line) => {
    const asked = request.parse(parse(line));
    if (asked.kind === 'abort') return running.abort();
    say({ kind: 'begun', id: asked.id });
    void handle(handler.handler, asked).then(say);
  });
  say({ kind: 'ready' });
}

/**
 * A handler in an endless loop would outlive a killed parent, because its own thread never gets to notice. A second thread
 * does. Linux's out-of-memory killer should choose this process rather than the receiver.
 */
function endWithParent(): void {
  const source = `
    const { Socket } = require('node:net');
    const end = () => process.kill(process.pid, 'SIGKILL');
    new Socket({ fd: ${lifelineDescriptor} }).on('error', end).on('close', end).resume();
    try { require('node:fs').writeFileSync('/proc/self/oom_score_adj', '1000'); } catch {}`;
  const limits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };
  const watcher = new Worker(source, { eval: true, resourceLimits: limits, env: {} });
  watcher.unref();
  watcher.on('error', () => exit(1));
}

/** A line that is longer than the limit is cut. */
export function forEachLine(channel: Duplex, take: (line: string) => void, lengthMax = Infinity): void {
  let rest = '';
  channel.setEncoding('utf8');
  channel.on('data', (chunk) => {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
    if (rest.length <= lengthMax) return;
    take(rest);
    rest = '';
  });
}

async function load(url: string): Promise<{ handler: CallbackHandler } | { reason: string }> {
  try {
    const loaded: unknown = await import(url);
    // TypeScript compiled to CommonJS has its default export inside the module's default export.
    const found = defaultOf(loaded);
    const handler = handlerSchema.safeParse(typeof found === 'function' ? found : defaultOf(found));
    if (!handler.success) return { reason: 'its default export is not a function' };
    return { handler: handler.data };
  } catch (error) {
    return { reason: `importing it threw ${nameOf(error)}: ${textOf(error, 'message')}` };
  }
}

function defaultOf(loaded: unknown): unknown {
  return typeof loaded === 'object' && loaded !== null && 'default' in loaded ? loaded.default : undefined;
}

interface Asked {
  readonly id: string;
  readonly delivery: Delivery;
}

async function handle(handler: CallbackHandler, { id, delivery }: Asked): Promise<ChildReply> {
  running = new NewAbortController();
  try {
    await handler(toHandledCallback(delivery, running.signal));
    return { kind: 'returned', id };
  } catch (error) {
    const answer = Buffer.from(textOf(error, 'message')).subarray(0, answerBytesMax).toString();
    return { kind: 'threw', id, permanent: isPermanent(error), error: nameOf(error), answer };
  }
}

function nameOf(error: unknown): string {
  if (!(error instanceof NamedError)) return 'not an Error';
  const name = textOf(error, 'name').slice(0, 100);
  return name === '' ? 'Error' : name;
}

/** Anything may have been thrown, and even reading its text may throw. */
function textOf(error: unknown, property: 'name' | 'message' | 'stack'): string {
  try {
    return String(error instanceof NamedError ? error[property] : error).slice(0, answerBytesMax);
  } catch {
    return '';
  }
}
