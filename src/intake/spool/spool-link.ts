// The main thread's connection to the spool's thread: requests and replies, and the thread's life.
//
// Promises: every call gets a reply, with a `code` if the thread died, hung or is closed; a thread that hangs or dies is
// reported and replaced. An idle thread does not keep the process alive.
import { Worker } from 'node:worker_threads';
import type { Log } from '../../telemetry/log.ts';
import type { SpoolMessage, SpoolReply, SpoolRequest } from './spool-protocol.ts';

export interface SpoolLinkOptions {
  readonly threadOptions: object;
  readonly startThread?: ((options: object) => Worker) | undefined;
  /** The thread counts as hung after this time without a reply. */
  readonly hungMs: number;
  readonly log: Pick<Log, 'error'>;
  readonly onMessage: (message: SpoolMessage) => void;
  /** The thread is gone; `onStarted` follows unless the link is closed. */
  readonly onLost: (code: string) => void;
  readonly onStarted: () => void;
}

interface Call {
  readonly startedAtMs: number;
  readonly resolve: (reply: SpoolReply) => void;
}

const restartAfterMs = 200;
const closeDeadlineMs = 3_000;

export function createSpoolLink(options: SpoolLinkOptions) {
  const { threadOptions, startThread = startSpoolThread, hungMs, log, onMessage, onLost, onStarted } = options;
  const calls = new Map<number, Call>();
  let thread: Worker | undefined;
  let isClosed = false;
  let lastId = 0;
  let restartTimer: NodeJS.Timeout | undefined;

  start();
  const watchdog = setInterval(replaceHungThread, Math.min(1_000, hungMs / 2));
  watchdog.unref();

  function start(): void {
    const worker = startThread(threadOptions);
    thread = worker;
    worker.unref();
    worker.on('message', (message: SpoolMessage) => {
      if (worker === thread) receive(message);
    });
    worker.on('error', (error) => {
      if (worker === thread) log.error({ event: 'spool.thread_failed', reason: error.message });
    });
    worker.on('exit', () => {
      if (worker === thread) replaceThread('SPOOL_THREAD_DIED');
    });
  }

  function receive(message: SpoolMessage): void {
    onMessage(message);
    const { reply } = message;
    if (reply === undefined) return;
    calls.get(reply.id)?.resolve(reply.value);
    calls.delete(reply.id);
  }

  function call(request: SpoolRequest): Promise<SpoolReply> {
    const worker = thread;
    if (worker === undefined || isClosed) return Promise.resolve({ code: 'SPOOL_CLOSED' });
    lastId += 1;
    const id = lastId;
    worker.ref();
    return new Promise<SpoolReply>((resolve) => {
      calls.set(id, { startedAtMs: performance.now(), resolve });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ id, request });
    }).finally(() => {
      if (calls.size === 0) worker.unref();
    });
  }

  function replaceHungThread(): void {
    const oldest = calls.values().next().value;
    if (oldest === undefined || performance.now() - oldest.startedAtMs < hungMs) return;
    log.error({ event: 'spool.thread_hung', waitedMs: hungMs });
    const hung = thread;
    replaceThread('SPOOL_THREAD_HUNG');
    // It ends once its system call returns; its lock, and so its entries, are free then.
    void hung?.terminate();
  }

  function replaceThread(code: string): void {
    thread = undefined;
    onLost(code);
    failCalls(code);
    if (isClosed) return;
    restartTimer = setTimeout(() => {
      start();
      onStarted();
    }, restartAfterMs);
  }

  function failCalls(code: string): void {
    for (const { resolve } of calls.values()) resolve({ code });
    calls.clear();
  }

  return {
    call,
    isUp: () => thread !== undefined && !isClosed,
    isClosed: () => isClosed,

    /** Ends the thread, even if it does not answer. */
    async close(): Promise<void> {
      if (isClosed) return;
      const closing = call({ op: 'close' });
      isClosed = true;
      clearInterval(watchdog);
      clearTimeout(restartTimer);
      const timer = setTimeout(() => failCalls('SPOOL_TIMEOUT'), closeDeadlineMs);
      await closing;
      clearTimeout(timer);
      void thread?.terminate();
    },
  };
}

/** Beside this file, with its own ending: `.ts` in a checkout, `.js` in the package. */
function startSpoolThread(options: object): Worker {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./spool-thread.${ending}`, import.meta.url), { workerData: options });
}
