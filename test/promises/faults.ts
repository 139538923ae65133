// The faults: each breaks one part of the world for a while and mends it again.
//
// `part` says what it breaks, so that two at once never get in each other's way.
import { setTimeout as delay } from 'node:timers/promises';
import { answer, type MerchantBehaviour } from '../../src/simulator/merchant-behaviour.ts';
import { until } from '../support/until.ts';
import type { World } from './world.ts';

export interface Fault {
  readonly name: string;
  readonly part: 'redis' | 'receiver' | 'worker' | 'merchant' | 'everything';
  /** Breaks, holds for so long, mends. `random` is from 0 to 1, drawn from the seed. */
  readonly run: (world: World, holdMs: number, random: number) => Promise<void>;
  /** What it needs that not every machine has. */
  readonly needs?: 'a disk that can be filled';
}

export const faults: readonly Fault[] = [
  {
    name: 'Redis killed and restarted',
    part: 'redis',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        await world.redis.kill('SIGKILL');
        await delay(holdMs);
        await world.redis.restart();
      }),
  },
  {
    name: 'Redis frozen and thawed',
    part: 'redis',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        await world.redis.kill('SIGSTOP');
        await delay(holdMs);
        await world.redis.kill('SIGCONT');
      }),
  },
  {
    name: 'Redis out of memory',
    part: 'redis',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        await world.admin.config('SET', 'maxmemory', '1');
        await delay(holdMs);
        await world.admin.config('SET', 'maxmemory', '0');
      }),
  },
  {
    name: 'Redis turned replica and back',
    part: 'redis',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        await world.admin.call('REPLICAOF', '127.0.0.1', '1');
        await delay(holdMs);
        await world.admin.call('REPLICAOF', 'NO', 'ONE');
      }),
  },
  {
    name: 'receiver killed',
    part: 'receiver',
    async run(world, holdMs, random) {
      const receiver = pick(world.receivers, random);
      const mended = world.outage(receiver.url);
      await receiver.kill();
      await delay(holdMs);
      await receiver.restart();
      mended();
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
        const mended = world.outage(receiver.url);
        await receiver.kill();
        await delay(holdMs / 2);
        await world.redis.restart();
        await receiver.restart();
        mended();
      }),
  },
  {
    name: 'worker killed during a delivery',
    part: 'worker',
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
    name: 'merchant down',
    part: 'merchant',
    async run({ merchant }, holdMs) {
      await merchant.down();
      await delay(holdMs);
      await merchant.up();
    },
  },
  merchantFault('merchant hanging', { kind: 'hang' }),
  merchantFault('merchant slow', answer(200, { delayMs: 1_000 })),
  merchantFault('merchant answering garbage', { kind: 'garbage' }),
  merchantFault('merchant answering 500', answer(500)),
  {
    name: 'disk of the spool full',
    part: 'everything',
    needs: 'a disk that can be filled',
    async run(world, holdMs) {
      const mend = fillDisk(world);
      await delay(holdMs);
      mend();
    },
  },
  {
    name: 'Redis out and disk of the spool full',
    part: 'everything',
    needs: 'a disk that can be filled',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        const mend = fillDisk(world);
        await world.redis.kill('SIGSTOP');
        await delay(holdMs);
        mend();
        await delay(holdMs / 2);
        await world.redis.kill('SIGCONT');
      }),
  },
];

function merchantFault(name: string, behaviour: MerchantBehaviour): Fault {
  return {
    name,
    part: 'merchant',
    async run({ merchant }, holdMs) {
      merchant.always(behaviour);
      await delay(holdMs);
      merchant.always(answer(200));
    },
  };
}

async function redisOut(world: World, act: () => Promise<void>): Promise<void> {
  const mended = world.outage('redis');
  await act();
  mended();
}

function fillDisk(world: World): () => void {
  const mended = world.outage('disk');
  const makeRoom = world.disk.fill();
  return () => {
    makeRoom();
    mended();
  };
}

function pick<T>(list: readonly T[], random: number): T {
  const picked = list[Math.floor(random * list.length)];
  if (picked === undefined) throw new Error('there is nothing to pick from');
  return picked;
}
