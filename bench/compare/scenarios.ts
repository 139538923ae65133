// The faults: the same for each contestant.
import { setTimeout as delay } from 'node:timers/promises';
import type { MerchantSimulator } from '../../simulator/merchant.ts';
import type { TestRedis } from '../../test/support/redis.ts';
import type { TcpProxy } from '../../test/support/tcp-proxy.ts';
import type { Receiver } from './contestants.ts';

export interface Scene {
  readonly redis: TestRedis;
  /** The proxy between receiver and Redis. */
  readonly redisProxy: TcpProxy;
  readonly receiver: Receiver;
  readonly merchant: MerchantSimulator;
}

export interface Scenario {
  readonly name: string;
  /** Distinct callbacks per second; or the number of concurrent copies of one callback. */
  readonly load: { readonly perSecond: number } | { readonly atOnce: number };
  readonly fault: (scene: Scene) => Promise<void>;
}

const perSecond = 60;

export const scenarios: readonly Scenario[] = [
  {
    name: 'Redis killed for 5 s',
    load: { perSecond },
    async fault({ redis }) {
      await redis.kill('SIGKILL');
      await delay(5_000);
      await redis.restart();
    },
  },
  {
    name: 'Redis frozen for 20 s',
    load: { perSecond },
    async fault({ redis }) {
      await redis.kill('SIGSTOP');
      await delay(20_000);
      await redis.kill('SIGCONT');
    },
  },
  {
    name: 'Redis slow for 8 s (1 s a round trip)',
    load: { perSecond },
    async fault({ redisProxy }) {
      redisProxy.set({ kind: 'slow', oneWayMs: 500 });
      await delay(8_000);
      redisProxy.set({ kind: 'pass' });
    },
  },
  {
    name: 'receiver killed, back after 1 s',
    load: { perSecond },
    async fault({ receiver }) {
      await receiver.kill();
      await delay(1_000);
      await receiver.restart();
    },
  },
  {
    name: 'Redis and receiver killed for 5 s',
    load: { perSecond },
    async fault({ redis, receiver }) {
      await redis.kill('SIGKILL');
      await delay(2_500);
      await receiver.kill();
      await delay(2_500);
      await redis.restart();
      await receiver.restart();
    },
  },
  {
    name: 'merchant down for 5 s',
    load: { perSecond },
    async fault({ merchant }) {
      await merchant.down();
      await delay(5_000);
      await merchant.up();
    },
  },
  { name: 'one callback 200 times at once', load: { atOnce: 200 }, fault: async () => {} },
];
