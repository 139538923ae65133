// One fault, and what several of them share.
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyMode, TcpProxy } from '../../support/tcp-proxy.ts';
import type { Need, World } from '../world.ts';

export type Part =
  'redis' | 'receiver' | 'worker' | 'merchant' | 'reconciler' | 'gateway' | 'queue' | 'replica' | 'everything';

export interface Fault {
  readonly name: string;
  /** What it breaks, so that two at once never get in each other's way. */
  readonly part: Part;
  /** Breaks, holds for so long, mends. `random` is from 0 to 1, drawn from the seed. */
  readonly run: (world: World, holdMs: number, random: number) => Promise<void>;
  readonly needs?: Need;
}

export async function redisOut(world: World, act: () => Promise<void>): Promise<void> {
  const mended = world.outage('redis');
  await act();
  mended();
}

export async function misbehave(proxy: TcpProxy, mode: ProxyMode, holdMs: number): Promise<void> {
  proxy.set(mode);
  await delay(holdMs);
  proxy.set({ kind: 'pass' });
}

export function pick<T>(list: readonly T[], random: number): T {
  const picked = list[Math.floor(random * list.length)];
  if (picked === undefined) throw new Error('there is nothing to pick from');
  return picked;
}
