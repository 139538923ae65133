// `listen --to URL`: sends a copy of each new callback to another address until Ctrl-C; with `--from`, of earlier ones as
// well.
import { setTimeout as delay } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { callbackStates, stateOf, type CallbackState } from '../store/callbacks/callback-view.ts';
import { createJobReader } from '../store/callbacks/read-callbacks.ts';
import { receivedBetween } from '../store/callbacks/received-between.ts';
import { parseHttpUrl, parseTime } from './arguments.ts';
import { createCopier, describeCopy, isTaken } from './copier.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { followNew } from './new-callbacks.ts';
import { inSession, type Session } from './session.ts';

const examples = `
For development with real callbacks: copies have a delivery's headers and signature, plus \`payalo-copy: yes\`. They do not change the
callbacks' state. A copy that is not accepted is not sent again.

Examples:
  payalo-receiver listen --to http://127.0.0.1:8080/payments
  payalo-receiver listen --to http://127.0.0.1:8080/payments --from 2h --state failed --once

With --once it ends after the earlier ones (--from), or after the first new one. Exit codes: 0 all were answered 2xx, 1 not all.`;

interface ListenOptions {
  readonly to: string;
  readonly from?: number;
  readonly state?: CallbackState;
  readonly once?: boolean;
  readonly brand?: string;
}

const lookEveryMs = 200;
/** Most likely Redis is down. */
const pauseMs = 1_000;
const step = 200;
/** Callbacks that are not in the requested state yet; the oldest are forgotten. */
const waitingMax = 5_000;

export function addListen(program: Command): void {
  program
    .command('listen')
    .description('send a copy of each new callback to another address')
    .requiredOption('--to <url>', 'where the copies go', parseHttpUrl)
    .option('--from <time>', 'also copy earlier ones, received since: ISO 8601, or 2h for two hours ago', parseTime)
    .addOption(new Option('--state <state>', 'copy a callback once it is in this state').choices(callbackStates))
    .option('--once', 'end after the earlier ones, or after the first new one')
    .option('--brand <brand>', 'needed if there are several brands')
    .addHelpText('after', examples)
    .action(inSession(listen));
}

async function listen(session: Session, options: ListenOptions): Promise<ExitCode> {
  const { output } = session;
  const redis = await session.redis();
  const queues = [...session.queues.values()].filter(({ brand }) => brand === (options.brand ?? brand));
  const sender = createSender(session, redis, options);
  // Following makes the service write its events; do not cause that for earlier callbacks alone.
  const isForEarlier = options.once === true && options.from !== undefined;
  const toFollow = isForEarlier ? [] : queues;
  const followed = await Promise.all(toFollow.map(async (queue) => ({ queue, added: await followNew(redis, queue) })));
  const interrupted = untilInterrupted(session);
  output.say(`Copies go to ${new URL(options.to).origin}; Ctrl-C ends it.`);
  let isBehind = options.from !== undefined;
  const isDone = () => options.once === true && !isBehind && (options.from !== undefined || sender.counts.sent > 0);
  while (!interrupted.aborted && !isDone()) {
    try {
      if (isBehind) {
        for (const queue of queues)
          for await (const ids of receivedBetween(redis, queue, options.from ?? Infinity, Infinity))
            await sender.send(queue, ids);
        isBehind = false;
        continue;
      }
      for (const { queue, added } of followed) await sender.send(queue, await added.next());
      await delay(lookEveryMs, undefined, { signal: interrupted });
    } catch (error) {
      if (interrupted.aborted) break;
      output.say(`Redis cannot be read (${error instanceof Error ? error.message : 'unknown'}); trying again.`);
      await delay(pauseMs, undefined, { signal: interrupted }).catch(() => undefined);
    }
  }
  const { counts } = sender;
  output.result(counts, () => output.line(`${counts.taken} of ${counts.sent} copies were taken.`));
  return counts.taken === counts.sent ? exitCodes.done : exitCodes.no;
}

/** Sends each callback once, as soon as it is in the requested state. */
function createSender(session: Session, redis: RedisConnection, { to, state }: ListenOptions) {
  const copy = createCopier(session, to);
  const readJobs = createJobReader(redis);
  const counts = { sent: 0, taken: 0 };
  const sent = new Set<string>();
  const waiting = new Map<string, Set<string>>();

  /** Checks new ids, and those that were in another state. */
  async function send(queue: BrandQueue, ids: readonly string[]): Promise<void> {
    const mine = waiting.get(queue.brand) ?? new Set<string>();
    waiting.set(queue.brand, mine);
    for (const id of ids) if (!sent.has(queue.base + id)) mine.add(id);
    for (const id of [...mine].slice(0, Math.max(mine.size - waitingMax, 0))) mine.delete(id);
    const looked = [...mine];
    for (let at = 0; at < looked.length; at += step) {
      for (const record of await readJobs(queue, looked.slice(at, at + step), { withLogs: false })) {
        const { jobId, data, erased } = record;
        if (state !== undefined && stateOf(record) !== state) continue;
        mine.delete(jobId);
        if (data === undefined || erased) continue;
        sent.add(queue.base + jobId);
        const copied = await copy(record, data);
        counts.sent += 1;
        if (isTaken(copied)) counts.taken += 1;
        session.output.say(describeCopy(copied));
      }
    }
  }

  return { counts, send };
}

function untilInterrupted({ onEnd }: Session): AbortSignal {
  const controller = new AbortController();
  const stop = () => controller.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, stop);
    onEnd(() => process.removeListener(signal, stop));
  }
  return controller.signal;
}
