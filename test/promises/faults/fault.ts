// The interface of a fault, and helpers that several faults share.
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyMode, TcpProxy } from '../../support/tcp-proxy.ts';
import type { Need, World } from '../world.ts';

export type Part =
  'redis' | 'receiver' | 'worker' | 'merchant' | 'reconciler' | 'gateway' | 'queue' | 'replica' | 'everything';

export interface Fault {
  readonly name: string;
  /** The part that it breaks; concurrent faults never break the same part. */
  readonly part: Part;
  /** Breaks the part for `holdMs`, then repairs it. `random` is in [0, 1), from the seed. */
  readonly run: (world: World, holdMs: number, random: number) => Promise<void>;
  readonly needs?: Need;
}

export async function redisOut(world: World, act: () => Promise<void>): Promise<void> {
  const endOutage = world.outage('redis');
  await act();
  endOutage();
}

export async function misbehave(proxy: TcpProxy, mode: ProxyMode, holdMs: number): Promise<void> {
  proxy.set(mode);
  await delay(holdMs);
  proxy.set({ kind: 'pass' });
}

export function pick<T>(list: readonly T[], random: number): T {
  const picked = list[Math.floor(random * list.length)];
  if (picked === undefined) throw new Error('The list is empty.');
  return picked;
}
