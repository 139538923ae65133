// Redis dies, freezes, refuses commands, or has a bad connection.
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyMode } from '../../support/tcp-proxy.ts';
import { slowFsync } from '../../support/slow-fsync.ts';
import { ackBudgetMs, type World } from '../world.ts';
import { misbehave, redisOut, type Fault } from './fault.ts';

export const redisFaults: readonly Fault[] = [
  redisFault('Redis killed and restarted', async ({ redis }, holdMs) => {
    await redis.kill('SIGKILL');
    await delay(holdMs);
    await redis.restart();
  }),
  redisFault('Redis frozen and thawed', async ({ redis }, holdMs) => {
    await redis.kill('SIGSTOP');
    await delay(holdMs);
    await redis.kill('SIGCONT');
  }),
  redisFault('Redis out of memory', async ({ admin }, holdMs) => {
    await admin.config('SET', 'maxmemory', '1');
    await delay(holdMs);
    await admin.config('SET', 'maxmemory', '0');
  }),
  redisFault('Redis turned replica and back', async ({ admin }, holdMs) => {
    await admin.call('REPLICAOF', '127.0.0.1', '1');
    await delay(holdMs);
    await admin.call('REPLICAOF', 'NO', 'ONE');
  }),
  onTheWay('Redis slow, within the budget', { kind: 'slow', oneWayMs: ackBudgetMs / 4 }),
  onTheWay('Redis slower than the budget', { kind: 'slow', oneWayMs: ackBudgetMs }),
  onTheWay('Redis connections stalled', { kind: 'stall' }),
  onTheWay('Redis takes commands and its answers are stalled', { kind: 'stall', direction: 'toClient' }),
  onTheWay('Redis connections accepted and closed', { kind: 'close' }),
  {
    ...redisFault('Redis with a slow fsync', async ({ redis }, holdMs) => {
      const repair = await slowFsync([redis.pid], 300);
      await delay(holdMs);
      await repair();
    }),
    needs: 'strace',
  },
];

function redisFault(name: string, act: (world: World, holdMs: number) => Promise<void>): Fault {
  return { name, part: 'redis', run: (world, holdMs) => redisOut(world, () => act(world, holdMs)) };
}

function onTheWay(name: string, mode: ProxyMode): Fault {
  return redisFault(name, ({ redisProxy }, holdMs) => misbehave(redisProxy, mode, holdMs));
}
