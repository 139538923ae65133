// Resolves the names of merchants' and gateways' hosts in a separate process.
//
// The system's resolver (getaddrinfo: /etc/hosts, search domains, NSS, whatever Docker and Kubernetes set up) blocks the
// calling thread, and a process has four such threads, which files use as well. A name server that does not answer holds
// each for ten seconds or more. The separate process has more threads than there are names and runs one lookup per name
// at a time, so one destination cannot delay another.
//
// The process starts with the first lookup and again after it dies. If it cannot start, names are resolved here.
import { fork, type ChildProcess } from 'node:child_process';
import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '../config/config.ts';
import type { Log } from '../telemetry/log.ts';
import { lookupReply, type LookupQuestion, type LookupReply } from './name-lookup-process.ts';

export interface NameLookupsOptions {
  /** The number of different names. */
  readonly namesMax: number;
  readonly log: Log;
}

/** Room for separate IPv4 and IPv6 lookups, and for names that change. */
const threadsPerName = 2;
const threadsMin = 8;
/** libuv's own limit. */
const threadsMax = 1_024;

type Question = Omit<LookupQuestion, 'id'>;
type Answer = Pick<LookupReply, 'code' | 'addresses'>;

export function createNameLookups({ namesMax, log }: NameLookupsOptions) {
  const threads = Math.min(Math.max(namesMax * threadsPerName, threadsMin), threadsMax);
  const pending = new Map<string, { readonly id: number; readonly waiting: ((answer: Answer) => void)[] }>();
  let child: ChildProcess | undefined;
  let isHelpful = true;
  let nextId = 1;

  function start(): ChildProcess {
    const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const script = fileURLToPath(new URL(`./name-lookup-process.${ending}`, import.meta.url));
    const started = fork(script, ['--name-lookups'], {
      env: childEnvironment({ UV_THREADPOOL_SIZE: String(threads) }),
      execArgv: process.execArgv.filter((flag) => !flag.startsWith('--inspect')),
      // Detached, so that a Ctrl-C in the terminal does not end it: the last deliveries still need it.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let hasAnswered = false;
    const onEnd = (reason: string) => {
      if (child !== started) return;
      child = undefined;
      isHelpful = hasAnswered;
      log.warn({ event: 'lookups.process_ended', reason, lookedUpHere: !isHelpful });
      for (const [key, { waiting }] of pending) settle(key, waiting, { code: dns.TIMEOUT, addresses: [] });
    };
    started.on('error', (error) => onEnd(error.message));
    started.on('exit', (code, signal) => onEnd(String(signal ?? code)));
    started.on('message', (message) => {
      const { id, ...answer } = lookupReply.parse(message);
      hasAnswered = true;
      for (const [key, asked] of pending) if (asked.id === id) settle(key, asked.waiting, answer);
    });
    started.unref();
    started.channel?.unref();
    return started;
  }

  function settle(key: string, waiting: readonly ((answer: Answer) => void)[], answer: Answer): void {
    pending.delete(key);
    for (const tell of waiting) tell(answer);
  }

  /** One lookup per name at a time; concurrent callers share its answer. */
  function ask(question: Question, tell: (answer: Answer) => void): void {
    const key = `${question.name} ${question.family} ${question.hints}`;
    const underWay = pending.get(key);
    if (underWay !== undefined) return void underWay.waiting.push(tell);
    const id = nextId;
    nextId += 1;
    pending.set(key, { id, waiting: [tell] });
    child ??= start();
    // A failed send shows as the end of the process; one without descriptors for its pipes has no `send`, and ends at once.
    if (child.connected) child.send({ id, ...question }, () => undefined);
  }

  const lookup: LookupFunction = (hostname, options, callback) => {
    // Names that are in /etc/hosts on every machine need no process.
    if (!isHelpful || /^localhost\.?$/i.test(hostname)) return dns.lookup(hostname, options, callback);
    const { family = 0, hints = 0 } = options;
    const question = { name: hostname, family: familyOf(family), hints };
    ask(question, ({ code, addresses }) => {
      const [first] = addresses;
      if (first === undefined) callback(lookupError(hostname, code), []);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };

  return {
    lookup,
    close(): void {
      const ending = child;
      child = undefined;
      ending?.kill('SIGKILL');
    },
  };
}

function familyOf(family: number | 'IPv4' | 'IPv6'): number {
  if (family === 'IPv4') return 4;
  return family === 'IPv6' ? 6 : family;
}

/** An error as `dns.lookup` reports it. */
function lookupError(hostname: string, code = 'ENOTFOUND'): NodeJS.ErrnoException {
  const error = new Error(`getaddrinfo ${code} ${hostname}`);
  return Object.assign(error, { code, syscall: 'getaddrinfo', hostname });
}
