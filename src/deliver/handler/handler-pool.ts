// Attempts at a merchant's HANDLER_MODULE, in separate processes, so that nothing it does can harm the service or another
// callback: a handler that hangs, exits, fills its memory or is killed costs only its own attempt.
//
// A process takes one callback at a time; processes are started on demand and kept. `check` imports the module once and
// throws ConfigError if that fails, so that a broken module stops the start.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from '../../config/config-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AttemptResult, Delivery } from '../attempt.ts';
import { memoryBytesOf, startHandlerChild, type HandlerChild, type Word } from './handler-child.ts';

export interface HandlerPoolOptions {
  /** HANDLER_MODULE: a path relative to the working folder, or the name of a package installed there. */
  readonly module: string;
  readonly timeoutMs: number;
  readonly log: Log;
  readonly importTimeoutMs?: number;
}

/** A process costs memory (about 25 MB); handlers mostly wait, and one that needs more can be its own worker. */
export const handlerProcessesMax = 8;
/** From the abort signal to the kill: time for handlers that clean up. */
const abortGraceMs = 250;
/** A process that does not even begin is busy with leftovers of an earlier callback. */
const beginMsMax = 2_000;
/** Memory limit of one process, and at most half of the container's. */
const memoryBytesMaxDefault = 1_073_741_824;
const memoryLookMs = 250;
/** The heap has that limit itself; Node and buffers come on top. */
const heapShareMargin = 1.25;

type Ended = Extract<Word, { kind: 'ended' }>;

export function createHandlerPool(options: HandlerPoolOptions) {
  const { module, timeoutMs, log, importTimeoutMs = 30_000 } = options;
  const idle: HandlerChild[] = [];
  const all = new Set<HandlerChild>();
  const memoryBytesMax = Math.min(memoryBytesMaxDefault, (process.constrainedMemory() || Infinity) / 2);
  const watch = setInterval(endGreedy, memoryLookMs).unref();

  async function start(): Promise<HandlerChild> {
    const child = startHandlerChild(moduleUrlOf(module), memoryBytesMax);
    all.add(child);
    const word = await listen(child, importTimeoutMs);
    if (word.kind === 'ready') return child;
    child.kill('ended');
    all.delete(child);
    throw unusable(module, reasonFrom(word));
  }

  /** Watches an idle process, since nothing else would notice its end. */
  function release(child: HandlerChild): void {
    if (!child.isAlive()) return void all.delete(child);
    idle.push(child);
    child.onWord((word) => {
      if (word.kind !== 'ended') return;
      all.delete(child);
      const index = idle.indexOf(child);
      if (index >= 0) idle.splice(index, 1);
      log.warn({ event: 'handler.process_ended', error: word.error });
    });
  }

  /** Memory outside the JavaScript heap has no limit of its own. */
  function endGreedy(): void {
    for (const child of all) {
      if (memoryBytesOf(child.pid) > memoryBytesMax * heapShareMargin) child.kill('it uses too much memory');
    }
  }

  return {
    /**
     * If a process ends in the middle of a callback, an earlier callback's leftovers (a timer, a rejection) may be the cause.
     * A fresh process shows whose fault it is.
     */
    async attempt(delivery: Delivery, stop: AbortSignal): Promise<AttemptResult> {
      const used = idle.pop();
      if (used !== undefined) {
        const result = await run({
          child: used,
          delivery,
          stop,
          timeoutMs,
          beginWithinMs: Math.min(beginMsMax, timeoutMs / 2),
        });
        release(used);
        if (result.kind !== 'ended') return result;
      }
      if (stop.aborted) return { kind: 'aborted' };
      const fresh = await start();
      const result = await run({ child: fresh, delivery, stop, timeoutMs });
      release(fresh);
      return result.kind === 'ended' ? { kind: 'error', error: result.error } : result;
    },
    /** Throws ConfigError. */
    async check(): Promise<void> {
      release(await start());
    },
    async close(): Promise<void> {
      clearInterval(watch);
      for (const child of idle.splice(0)) child.onWord(() => undefined); // its end is expected
      await Promise.all([...all].map(async (child) => child.close()));
    },
  };
}

interface Run {
  readonly child: HandlerChild;
  readonly delivery: Delivery;
  readonly stop: AbortSignal;
  readonly timeoutMs: number;
  readonly beginWithinMs?: number;
}

/** `ended`: the process ended by itself, without an outcome. */
async function run({ child, delivery, stop, timeoutMs, beginWithinMs: beginMs }: Run): Promise<AttemptResult | Ended> {
  const id = randomUUID();
  let over: 'timeout' | 'stop' | undefined;
  let ending: NodeJS.Timeout | undefined;
  const breakOff = (why: 'timeout' | 'stop') => {
    if (over !== undefined) return;
    over = why;
    child.say({ kind: 'abort' });
    ending = setTimeout(() => child.kill('ended'), abortGraceMs);
  };
  const onStop = () => breakOff('stop');
  const timer = setTimeout(breakOff, timeoutMs, 'timeout');
  const beginning = beginMs === undefined ? undefined : setTimeout(() => child.kill('it is busy'), beginMs);
  stop.addEventListener('abort', onStop);
  const said = outcomeOf(child, id, () => clearTimeout(beginning));
  child.say({ kind: 'handle', id, delivery });
  if (stop.aborted) onStop();
  const word = await said;
  for (const pending of [timer, beginning, ending]) clearTimeout(pending);
  stop.removeEventListener('abort', onStop);
  return toResult(word, over);
}

/** The child's next word; kills it if none comes in time. */
async function listen(child: HandlerChild, withinMs: number): Promise<Word> {
  const { promise, resolve } = Promise.withResolvers<Word>();
  const timer = setTimeout(() => child.kill(`took over ${withinMs} ms`), withinMs);
  child.onWord(resolve);
  return promise.finally(() => clearTimeout(timer));
}

type Outcome = Extract<Word, { kind: 'returned' | 'threw' }> | Ended;

/** Only a word that carries the attempt's own id is its outcome. */
async function outcomeOf(child: HandlerChild, id: string, onBegun: () => void): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  child.onWord((word) => {
    if (word.kind === 'ended') resolve(word);
    else if (!('id' in word) || word.id !== id) return;
    else if (word.kind === 'begun') onBegun();
    else resolve(word);
  });
  return promise;
}

function toResult(word: Outcome, over: 'timeout' | 'stop' | undefined): AttemptResult | Ended {
  if (word.kind === 'returned') return { kind: 'returned' };
  if (over === 'stop') return { kind: 'aborted' };
  if (over === 'timeout') return { kind: 'error', error: 'timeout' };
  if (word.kind === 'ended') return word;
  const { permanent, error, answer } = word;
  return { kind: permanent ? 'permanent' : 'error', error, answer };
}

function reasonFrom(word: Word): string {
  if (word.kind === 'unusable') return word.reason;
  return word.kind === 'ended' ? `importing it ${word.error}` : `it said ${word.kind}`;
}

function unusable(module: string, reason: string): ConfigError {
  const message = `HANDLER_MODULE: ${module} cannot be used: ${reason.replaceAll(/\s+/g, ' ')}`;
  return new ConfigError('HANDLER_MODULE_UNUSABLE', message);
}

/** The module's URL; if it is neither a file nor an installed package, the URL where a file was expected. */
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
