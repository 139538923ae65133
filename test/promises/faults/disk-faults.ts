// The spool's disk is full, slow, or damaged.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { damagePage } from '../../support/damaged-page.ts';
import { slowFsync } from '../../support/slow-fsync.ts';
import type { World } from '../world.ts';
import { pick, redisOut, type Fault } from './fault.ts';

export const diskFaults: readonly Fault[] = [
  {
    name: 'disk of the spool full',
    part: 'everything',
    needs: 'a disk that can be filled',
    async run(world, holdMs) {
      const repair = fillDisk(world);
      await delay(holdMs);
      repair();
    },
  },
  {
    name: 'Redis out and disk of the spool full',
    part: 'everything',
    needs: 'a disk that can be filled',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        const repair = fillDisk(world);
        await world.redis.kill('SIGSTOP');
        await delay(holdMs);
        repair();
        await delay(holdMs / 2);
        await world.redis.kill('SIGCONT');
      }),
  },
  {
    name: 'Redis out and disk of the spool slow',
    part: 'everything',
    needs: 'strace',
    run: (world, holdMs) =>
      redisOut(world, async () => {
        const endOutage = world.outage('disk');
        const repair = await slowFsync(
          world.receivers.map(({ pid }) => pid),
          800,
        );
        await world.redis.kill('SIGSTOP');
        await delay(holdMs);
        await world.redis.kill('SIGCONT');
        await repair();
        endOutage();
      }),
  },
  {
    name: 'page of the spool damaged while Redis is out',
    part: 'everything',
    run: (world, holdMs, random) =>
      redisOut(world, async () => {
        await world.redis.kill('SIGKILL');
        await delay(holdMs);
        const receiver = pick(world.receivers, random);
        const endOutage = world.outage(receiver.url);
        await receiver.kill();
        damageSpool(world, random);
        await receiver.restart();
        endOutage();
        await world.redis.restart();
      }),
  },
];

function fillDisk(world: World): () => void {
  const endOutage = world.outage('disk');
  const makeRoom = world.disk.fill();
  return () => {
    makeRoom();
    endOutage();
  };
}

/** Overwrites a page of the one unlocked subfolder, and records which callbacks were on it. */
function damageSpool(world: World, random: number): void {
  const files = readdirSync(world.spoolDir).map((name) => path.join(world.spoolDir, name, 'spool.db'));
  for (const file of files.filter((name) => existsSync(name))) {
    for (const reference of damagePage(file, random)) world.damaged.add(reference);
  }
}
