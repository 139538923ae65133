// Redis's clock for BullMQ's worker, which puts its own machine's time into every script.
//
// When a job waits, its time is compared by whichever worker looks. One whose clock is 30 days ahead would park a retry
// for 30 days, and take everybody's retries at once; one that is behind would spend a whole schedule in seconds. So
// every time in a script is Redis's, and what comes back is told in this machine's time. Between two questions a second
// apart the time goes on by a clock that nobody sets. Where Redis refuses to tell its time, this machine's is used.
import type { RedisQueueBackend } from 'bullmq';
import * as z from 'zod';

const command = 'payaloTime';
/** By a key of the queue, so that a Cluster asks the node that owns it. */
const lua = "local time = redis.call('TIME') return time[1] * 1000 + math.floor(time[2] / 1000)";
const sampleMsMax = 1_000;

/** Where each of BullMQ's scripts has the time among its arguments. `moveToFinished` says so itself. */
const timeAt: Readonly<Record<string, number>> = {
  moveToActive: 12,
  moveToDelayed: 12,
  retryJob: 12,
  moveStalledJobsToWait: 11,
};
/** In a script's reply: until when there is nothing to do. */
const delayUntilAt = 3;

const answer = z.coerce.number().int().positive();

export function useRedisClock(backend: RedisQueueBackend): void {
  let sample: { readonly redisMs: number; readonly atMs: number } | undefined;
  let asking: Promise<void> | undefined;

  async function ask(): Promise<void> {
    const client = await backend.client;
    client.defineCommand(command, { numberOfKeys: 1, lua });
    const redisMs = answer.parse(await client.runCommand(command, [backend.toKey('meta')]));
    sample = { redisMs, atMs: performance.now() };
  }

  async function refresh(): Promise<void> {
    if (sample !== undefined && performance.now() - sample.atMs < sampleMsMax) return;
    // Whatever is wrong shows in the command behind it.
    asking ??= ask()
      .catch(() => undefined)
      .finally(() => (asking = undefined));
    await asking;
  }

  const redisNow = () =>
    sample === undefined ? Date.now() : Math.floor(sample.redisMs + performance.now() - sample.atMs);
  const toLocal = (redisMs: number) => redisMs + Date.now() - redisNow();

  const execCommand = backend.execCommand.bind(backend);
  backend.execCommand = async (client, name: string, args: unknown[]): Promise<unknown> => {
    const index = name === 'moveToFinished' ? backend.moveToFinishedKeys.length + 1 : timeAt[name];
    if (index === undefined) return execCommand(client, name, args);
    await refresh();
    args[index] = redisNow();
    const reply: unknown = await execCommand(client, name, args);
    if (Array.isArray(reply) && Number(reply[delayUntilAt]) > 0) {
      reply[delayUntilAt] = toLocal(Number(reply[delayUntilAt]));
    }
    return reply;
  };

  const waitForJob = backend.waitForJob.bind(backend);
  backend.waitForJob = async (timeout) => {
    const found = await waitForJob(timeout);
    return found === null || !(found.score > 0) ? found : { ...found, score: toLocal(found.score) };
  };
}
