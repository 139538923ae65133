// The deliveries that every example merchant gets, and the orders that it must have afterwards.
import { DatabaseSync } from 'node:sqlite';
import { replay } from '../../src/store/lifecycle/replay.ts';
import type { Rig } from '../deliver/rig.ts';

export function ordersIn(file: string): unknown[] {
  const database = new DatabaseSync(file, { readOnly: true });
  const orders = database.prepare('SELECT reference, status, sequence FROM orders').all();
  database.close();
  return orders.map((order) => ({ ...order }));
}

/** Delivers a callback, delivers it again, then a correction of it, then an older one once more. */
export async function deliverAll(rig: Rig): Promise<void> {
  const original = await rig.add({ gatewayReference: 'order-№1', body: '{"status":"success"}' });
  await rig.settled(original);
  await replay(rig.connection, rig.queue, original.id ?? '');
  await rig.settled(original);
  const correction = { gatewayReference: 'order-№1', sequence: 1, source: 'correction', status: 'failed' } as const;
  await rig.settled(await rig.add({ ...correction, body: '{"status":"failed"}' }));
  await replay(rig.connection, rig.queue, original.id ?? '');
  await rig.settled(original);
  // As after a lost Redis: another result under the same sequence.
  const found = { gatewayReference: 'order-№2', source: 'records', finalAmount: null } as const;
  await rig.settled(await rig.add({ ...found, status: 'failed', body: '{"status":"failed"}' }));
  await rig.settled(await rig.add({ ...found, status: 'success', body: '{"status":"success"}' }));
}

export const booked = [
  { reference: 'order-№1', status: 'failed', sequence: 1 },
  { reference: 'order-№2', status: 'success', sequence: 0 },
];
