// What remains after the load: the callbacks that the operator API lists as delivered, and those in queue and spool.
import type { Redis } from 'ioredis';
import * as z from 'zod';
import { listSpool } from '../../src/intake/spool/spool-by-hand.ts';
import type { Remaining } from './auditor.ts';
import type { KeptProcess } from './kept-process.ts';

export interface RemainingOptions {
  readonly processes: readonly KeptProcess[];
  readonly admin: Redis;
  readonly spoolDir: string;
  /** Looked up one by one, because lists contain only jobs of the queue. */
  readonly removed: ReadonlySet<string>;
}

const queue = '{payalo}:payalo-callbacks';
const callbackSchema = z.object({ state: z.string().optional() });
const pageSchema = z.object({
  data: z.array(z.object({ gatewayReference: z.string().nullable() })),
  next: z.string().nullable(),
});

/** Asks the operator API, stops the service's processes, then reads what they left. */
export async function remainingAfter({ processes, admin, spoolDir, removed }: RemainingOptions): Promise<Remaining> {
  const listedDelivered = await list(processes, { state: 'delivered' });
  const denied = await deniedAfter(processes);
  for (const reference of removed) {
    if ((await stateOf(processes, reference)) === 'delivered') listedDelivered.add(reference);
  }
  await Promise.all(processes.map((process) => process.stop()));
  const spooled = listSpool(spoolDir, 100_000).flatMap(({ callbacks }) => callbacks);
  return {
    listedDelivered,
    queued: new Set(await references(admin, ['wait', 'active', 'delayed', 'paused'])),
    failed: new Set(await references(admin, ['failed'])),
    spooled: new Set(spooled.map(({ gatewayReference }) => gatewayReference ?? 'unreadable')),
    denied,
    quarantined: new Set(await admin.zrange(`${queue}/q`, '0', '-1')),
  };
}

/** Callbacks that the gateway denied, from the operator API. */
export function deniedAfter(processes: readonly KeptProcess[]): Promise<Set<string>> {
  return list(processes, { confirmed: 'denied' });
}

async function list(processes: readonly KeptProcess[], selection: Record<string, string>): Promise<Set<string>> {
  const found = new Set<string>();
  const opsUrl = processes[0]?.opsUrl ?? '';
  let cursor: string | null = '';
  while (cursor !== null) {
    const query = new URLSearchParams({ ...selection, limit: '200', ...(cursor !== '' && { cursor }) });
    const page = pageSchema.parse(await ask(`${opsUrl}/v1/callbacks?${query.toString()}`));
    for (const { gatewayReference } of page.data) found.add(gatewayReference ?? 'unreadable');
    cursor = page.next;
  }
  return found;
}

async function ask(url: string): Promise<unknown> {
  const response = await fetch(url);
  const text = await response.text();
  if (response.status >= 500) throw new Error(`${url} was answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

async function stateOf(processes: readonly KeptProcess[], reference: string): Promise<string | undefined> {
  const opsUrl = processes[0]?.opsUrl ?? '';
  return callbackSchema.parse(await ask(`${opsUrl}/v1/callbacks/${encodeURIComponent(reference)}`)).state;
}

async function references(redis: Redis, states: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const state of states) {
    const key = `${queue}:${state}`;
    const isList = (await redis.type(key)) === 'list';
    for (const id of isList ? await redis.lrange(key, 0, -1) : await redis.zrange(key, '0', '-1')) {
      const data = await redis.hget(`${queue}:${id}`, 'data');
      // Also works for torn data.
      found.push(/"gatewayReference":"([^"]*)"/.exec(data ?? '')?.[1] ?? 'unreadable');
    }
  }
  return found;
}
