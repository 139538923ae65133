// Gives BullMQ's worker Redis's clock; BullMQ would pass its own machine's time to every script.
//
// Any worker may compare the time of a waiting job. One whose clock is 30 days ahead would park a retry for 30 days, and take
// all retries at once; one that is behind would spend a whole schedule in seconds. So scripts get Redis's time, and replies
// are converted to this machine's time. The time is read once a second, with a monotonic clock in between. If Redis refuses
// TIME, this machine's clock is used.
import type { RedisQueueBackend } from 'bullmq';
import * as z from 'zod';

const command = 'payaloTime';
/** By a key of the queue, so that a Cluster asks the node that owns it. */
const lua = "local time = redis.call('TIME') return time[1] * 1000 + math.floor(time[2] / 1000)";
const sampleMsMax = 1_000;

/** The position of the time among each BullMQ script's arguments. `moveToFinished` names it itself. */
const timeAt: Readonly<Record<string, number>> = {
  moveToActive: 12,
  moveToDelayed: 12,
  retryJob: 12,
  moveStalledJobsToWait: 11,
};
/** In a script's reply: the time until which there is nothing to do. */
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
    // An error shows in the next command anyway.
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
