// One process that runs HANDLER_MODULE, seen from this service: the lines to and from it, and its end.
//
// Nothing from it is trusted: a line that is not a reply is ignored, a line that never ends is cut, and a process that writes
// too much is ended. Nothing here throws, whatever the process does.
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { childReply, forEachLine, type ChildReply, type ChildRequest } from './handler-process.ts';
import { parseJson } from '../../callback/json-text.ts';

export type Word = ChildReply | { readonly kind: 'ended'; readonly error: string };

export interface HandlerChild {
  /** Undefined if it could not be started; then it has ended already. */
  readonly pid: number | undefined;
  say(request: ChildRequest): void;
  /** Replaces the listener. `ended` is always the last word. */
  onWord(listener: (word: Word) => void): void;
  isAlive(): boolean;
  /** Kills it at once; `error` becomes its last word. */
  kill(error: string): void;
  /** Kills it too, and resolves when it is gone. */
  close(): Promise<void>;
}

/** A reply has at most about 7 KB: 1 KB of the handler's error, each byte escaped. */
const lineCharactersMax = 16_384;
/** Limit on output that is not a reply. A handler must not use this socket; flooding it would keep us busy. */
const strayCharactersMax = 1_048_576;
/** Empty lines count as well, since each is looked at. */
const strayLineCharacters = 1_024;
const pageBytes = 4_096;

export function startHandlerChild(moduleUrl: string, memoryBytesMax: number): HandlerChild {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const script = fileURLToPath(new URL(`./handler-process.${ending}`, import.meta.url));
  const heap = `--max-old-space-size=${Math.floor(memoryBytesMax / 1_048_576)}`;
  const flags = process.execArgv.filter((flag) => !flag.startsWith('--inspect'));
  const child = spawn(process.execPath, [...flags, heap, script, '--handler-module', moduleUrl], {
    // Detached: a Ctrl-C in the terminal must not end it before its callback is finished.
    detached: true,
    // The handler's output goes through this process, so that a stalled reader of the log cannot hold up the handler.
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
  });
  child.unref();
  const { promise: gone, resolve: goneNow } = Promise.withResolvers<void>();
  let alive = true;
  let failure: string | undefined;
  let listener: ((word: Word) => void) | undefined;
  let stray = 0;

  function end(error: string): void {
    if (!alive) return;
    alive = false;
    child.kill('SIGKILL');
    listener?.({ kind: 'ended', error });
  }

  function take(line: string): void {
    if (!alive) return;
    const reply = childReply.safeParse(parseJson(line));
    if (reply.success && reply.data.kind === 'failed') failure = reply.data.error;
    else if (reply.success) return listener?.(reply.data);
    stray += line.length + strayLineCharacters;
    if (stray > strayCharactersMax) end('it floods its channel');
  }

  child.on('error', (error) => {
    end(`could not start a process: ${error.message}`);
    if (child.pid === undefined) goneNow();
  });
  child.on('exit', (code, signal) => {
    end(failure ?? (signal === null ? `exited with ${code}` : `ended by ${signal}`));
    goneNow();
  });
  // Undefined if Node had no descriptors left for them.
  const pipes: ChildProcess['stdio'] | undefined = child.stdio;
  const [, output, errors, channel, lifeline] = pipes ?? [];
  passOn(output, process.stdout);
  passOn(errors, process.stderr);
  for (const pipe of [channel, lifeline]) pipe?.on('error', () => undefined);
  if (channel instanceof Duplex) forEachLine(channel, take, lineCharactersMax); // no reply is that long

  return {
    pid: child.pid,
    say(request) {
      if (channel instanceof Duplex && channel.writable) channel.write(`${JSON.stringify(request)}\n`);
    },
    onWord(next) {
      listener = next;
    },
    isAlive: () => alive,
    kill: end,
    async close() {
      end('ended');
      await gone;
    },
  };
}

function passOn(from: unknown, to: NodeJS.WritableStream): void {
  if (!(from instanceof Socket)) return;
  from.on('data', (chunk) => to.write(chunk));
  from.on('error', () => undefined);
  from.unref(); // like the child itself, it must not keep the process alive
}

/** 0 if the system does not tell. */
export function memoryBytesOf(pid: number | undefined): number {
  try {
    const [, residentPages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    return Number(residentPages) * pageBytes;
  } catch {
    return 0;
  }
}
