// Processes of the service die, have an unread log, or have a wrong clock.
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from '../../../simulator/merchant-behaviour.ts';
import { until } from '../../support/until.ts';
import type { KeptProcess } from '../kept-process.ts';
import type { World } from '../world.ts';
import { pick, redisOut, type Fault, type Part } from './fault.ts';

const hourMs = 3_600_000;
/** Longer than an answer may take, to detect a receiver that waits for its log's reader. */
const logStallMs = 3_500;
const clockSteps = [-365 * 24 * hourMs, -hourMs, hourMs, 30 * 24 * hourMs, 365 * 24 * hourMs];

export const processFaults: readonly Fault[] = [
  {
    name: 'receiver killed',
    part: 'receiver',
    async run(world, holdMs, random) {
      const receiver = pick(world.receivers, random);
      const endOutage = world.outage(receiver.url);
      await receiver.kill();
      await delay(holdMs);
      await receiver.restart();
      endOutage();
    },
  },
  {
    name: 'receiver killed while Redis is out',
    part: 'everything',
    run: (world, holdMs, random) =>
      redisOut(world, async () => {
        await world.redis.kill('SIGKILL');
        await delay(holdMs / 2);
        const receiver = pick(world.receivers, random);
        const endOutage = world.outage(receiver.url);
        await receiver.kill();
        await delay(holdMs / 2);
        await world.redis.restart();
        await receiver.restart();
        endOutage();
      }),
  },
  {
    name: 'worker killed during a delivery',
    part: 'everything',
    async run(world, holdMs, random) {
      world.merchant.always(answer(200, { delayMs: 300 }));
      const before = world.merchant.deliveries().length;
      await until(() => world.merchant.deliveries().length > before, { describe: 'a delivery in flight' });
      const worker = pick(world.workers, random);
      await worker.kill();
      world.merchant.always(answer(200));
      await delay(holdMs);
      await worker.restart();
    },
  },
  {
    name: 'log pipe of a receiver stalled',
    part: 'receiver',
    run: (world, holdMs, random) => stallLog(pick(world.receivers, random), holdMs),
  },
  {
    name: 'log pipe of a worker stalled',
    part: 'worker',
    run: (world, holdMs, random) => stallLog(pick(world.workers, random), holdMs),
  },
  wrongClock('receiver', ({ receivers }) => receivers),
  wrongClock('worker', ({ workers }) => workers),
  {
    name: 'clock of a worker wrong while the merchant fails',
    part: 'everything',
    async run(world, holdMs, random) {
      world.merchant.always(answer(500));
      await stepClock(pick(world.workers, random), holdMs, random);
      world.merchant.always(answer(200));
    },
  },
];

async function stallLog(process: KeptProcess, holdMs: number): Promise<void> {
  const flow = process.stallLog();
  await delay(Math.max(holdMs, logStallMs));
  flow();
}

function wrongClock(part: Part & ('receiver' | 'worker'), of: (world: World) => readonly KeptProcess[]): Fault {
  return {
    name: `clock of a ${part} wrong`,
    part,
    run: (world, holdMs, random) => stepClock(pick(of(world), random), holdMs, random),
  };
}

export async function stepClock(process: KeptProcess, holdMs: number, random: number): Promise<void> {
  process.setClock(pick(clockSteps, (random * 7) % 1));
  await delay(holdMs);
  process.setClock(0);
}
