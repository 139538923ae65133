// The replica dies, or its connection to the primary is cut or stalled.
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyMode } from '../../support/tcp-proxy.ts';
import { misbehave, type Fault } from './fault.ts';

const needs = 'a replica';

export const replicaFaults: readonly Fault[] = [
  {
    name: 'replica killed and restarted',
    part: 'replica',
    needs,
    async run({ replica }, holdMs) {
      await replica?.server.kill('SIGKILL');
      await delay(holdMs);
      await replica?.server.restart();
    },
  },
  link('link to the replica stalled', { kind: 'stall' }),
  link('link to the replica slow', { kind: 'slow', oneWayMs: 300 }),
  link('link to the replica accepted and closed', { kind: 'close' }),
];

function link(name: string, mode: ProxyMode): Fault {
  return {
    name,
    part: 'replica',
    needs,
    async run({ replica }, holdMs) {
      if (replica !== undefined) await misbehave(replica.link, mode, holdMs);
    },
  };
}
