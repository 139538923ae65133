// Attempts at a merchant's HANDLER_MODULE, in threads of their own, so that nothing it does can hold up the listeners:
// a handler that hangs, `while (true) {}` included, is ended at FORWARD_TIMEOUT and costs one attempt.
//
// A thread takes one callback at a time; threads are started when they are needed and kept. `check` imports the module
// once and throws ConfigError where that cannot work, so that a broken module stops the start.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Log } from '../runtime/log.ts';
import type { Attempt, AttemptResult, Delivery } from './attempt.ts';
import { threadReply, type ThreadReply, type ThreadRequest } from './handler-thread.ts';
import { ConfigError } from '../runtime/config-error.ts';

export interface HandlerPoolOptions {
  /** HANDLER_MODULE: a path relative to the working folder, or the name of a package installed there. */
  readonly module: string;
  readonly timeoutMs: number;
  readonly log: Log;
  readonly importTimeoutMs?: number;
}

/** A thread costs memory (some 10 MB); handlers mostly wait, and one that needs more can be a worker of its own. */
export const handlerThreadsMax = 8;
/** From the abort signal to the end of the thread: for handlers that clean up. */
const abortGraceMs = 250;

function unusable(module: string, reason: string): ConfigError {
  const message = `HANDLER_MODULE: ${module} cannot be used: ${reason.replaceAll(/\s+/g, ' ')}`;
  return new ConfigError('HANDLER_MODULE_UNUSABLE', message);
}

/** Where a module is; for what is neither a file nor an installed package, where a file was looked for. */
function moduleUrlOf(module: string): string {
  if (module.startsWith('file:')) return module;
  const file = path.resolve(module);
  return pathToFileURL(existsSync(file) ? file : (findPackage(module) ?? file)).href;
}

function findPackage(name: string): string | undefined {
  try {
    return createRequire(path.resolve('index.js')).resolve(name);
  } catch {
    return undefined;
  }
}

interface Thread {
  readonly worker: Worker;
  /** Who waits for the thread's next word; it is told once. */
  listener: ((word: ThreadReply | { readonly kind: 'died'; readonly error: string }) => void) | undefined;
  alive: boolean;
}

export function createHandlerPool({ module, timeoutMs, log, importTimeoutMs = 30_000 }: HandlerPoolOptions) {
  const idle: Thread[] = [];
  const all = new Set<Thread>();

  async function startThread(): Promise<Thread> {
    const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./handler-thread.${ending}`, import.meta.url), {
      workerData: { moduleUrl: moduleUrlOf(module) },
    });
    const thread: Thread = { worker, listener: undefined, alive: true };
    all.add(thread);
    worker.on('message', (message: unknown) => tell(thread, threadReply.parse(message)));
    const onDeath = (error: string) => {
      // Between two callbacks nobody else would tell.
      if (thread.alive && thread.listener === undefined) log.warn({ event: 'handler.thread_died', error });
      die(thread, error);
    };
    worker.on('error', (error: unknown) => onDeath(error instanceof Error ? error.name : 'unknown'));
    worker.on('exit', () => onDeath('exited'));
    const word = await listen(thread, importTimeoutMs);
    if (word.kind === 'ready') return thread;
    await end(thread);
    throw unusable(module, reasonFrom(word));
  }

  function die(thread: Thread, error: string): void {
    if (!thread.alive) return;
    thread.alive = false;
    all.delete(thread);
    const index = idle.indexOf(thread);
    if (index >= 0) idle.splice(index, 1);
    tell(thread, { kind: 'died', error });
  }

  async function end(thread: Thread): Promise<void> {
    die(thread, 'ended');
    await thread.worker.terminate();
  }

  const attempt: Attempt = async (delivery, stop) => {
    const thread = idle.pop() ?? (await startThread());
    const result = await run(thread, delivery, stop);
    if (thread.alive) idle.push(thread);
    return result;
  };

  async function run(thread: Thread, delivery: Delivery, stop: AbortSignal): Promise<AttemptResult> {
    let over: 'timeout' | 'stop' | undefined;
    let ending: NodeJS.Timeout | undefined;
    const breakOff = (why: 'timeout' | 'stop') => {
      if (over !== undefined) return;
      over = why;
      post(thread, { kind: 'abort' });
      ending = setTimeout(() => void end(thread), abortGraceMs);
    };
    const onStop = () => breakOff('stop');
    const timer = setTimeout(breakOff, timeoutMs, 'timeout');
    stop.addEventListener('abort', onStop);
    const word = listen(thread);
    post(thread, { kind: 'handle', delivery });
    if (stop.aborted) onStop();
    const said = await word;
    clearTimeout(timer);
    clearTimeout(ending);
    stop.removeEventListener('abort', onStop);
    return toResult(said, over);
  }

  return {
    attempt,
    /** Throws ConfigError. */
    async check(): Promise<void> {
      idle.push(await startThread());
    },
    async close(): Promise<void> {
      await Promise.all([...all].map(end));
    },
  };
}

type Word = Parameters<NonNullable<Thread['listener']>>[0];

function post(thread: Thread, request: ThreadRequest): void {
  thread.worker.postMessage(request, []);
}

function tell(thread: Thread, word: Word): void {
  const { listener } = thread;
  thread.listener = undefined;
  listener?.(word);
}

async function listen(thread: Thread, withinMs?: number): Promise<Word> {
  return new Promise((resolve) => {
    const timer =
      withinMs === undefined
        ? undefined
        : setTimeout(() => tell(thread, { kind: 'died', error: `took over ${withinMs} ms` }), withinMs);
    thread.listener = (word) => {
      clearTimeout(timer);
      resolve(word);
    };
  });
}

function reasonFrom(word: Word): string {
  if (word.kind === 'unusable') return word.reason;
  return word.kind === 'died' ? `importing it ${word.error}` : `its thread said ${word.kind}`;
}

function toResult(word: Word, over: 'timeout' | 'stop' | undefined): AttemptResult {
  if (word.kind === 'returned') return { kind: 'returned' };
  if (over === 'stop') return { kind: 'aborted' };
  if (over === 'timeout') return { kind: 'error', error: 'timeout' };
  if (word.kind === 'threw') {
    const { permanent, error, answer } = word;
    return { kind: permanent ? 'permanent' : 'error', error, answer };
  }
  return { kind: 'error', error: word.kind === 'died' ? `thread ${word.error}` : 'unknown' };
}
