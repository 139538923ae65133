// Another program changes the queue: a dashboard pauses it, moves jobs, or removes undelivered ones.
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { setTimeout as delay } from 'node:timers/promises';
import type { World } from '../world.ts';
import type { Fault } from './fault.ts';

const removedMax = 3;

export const queueFaults: readonly Fault[] = [
  foreignHands('a dashboard pauses the queue and resumes it', async (queue, _world, holdMs) => {
    await queue.pause();
    await delay(holdMs);
    await queue.resume();
  }),
  foreignHands('a dashboard promotes and retries jobs', async (queue, _world, holdMs) => {
    await queue.promoteJobs();
    await delay(holdMs);
    await queue.retryJobs();
  }),
  foreignHands('a dashboard removes jobs that wait', async (queue, world, holdMs) => {
    await queue.pause();
    await delay(holdMs);
    for (const job of await queue.getJobs(['waiting'], 0, removedMax - 1)) {
      const reference = String(job.data.gatewayReference);
      // A job that a worker took meanwhile is locked: it cannot be removed, and is delivered.
      const isRemoved = await job.remove().then(
        () => true,
        () => false,
      );
      if (isRemoved) world.removed.add(reference);
    }
    await queue.resume();
  }),
];

function foreignHands(name: string, act: (queue: Queue, world: World, holdMs: number) => Promise<void>): Fault {
  return {
    name,
    part: 'everything',
    async run(world, holdMs) {
      const connection = new Redis(world.redis.url, { maxRetriesPerRequest: null });
      const queue = new Queue('payalo-callbacks', { connection, prefix: '{payalo}', skipMetasUpdate: true });
      await act(queue, world, holdMs);
      await queue.close();
      await connection.quit();
    },
  };
}
