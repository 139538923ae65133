// The reconciler dies or has a wrong clock; the gateway's API is down, slow, or refuses calls.
import { setTimeout as delay } from 'node:timers/promises';
import type { Outage } from '../../../simulator/outage.ts';
import type { ProxyMode } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';
import { misbehave, pick, type Fault } from './fault.ts';
import { stepClock } from './process-faults.ts';

const needs = 'a reconciler';

export const reconcileFaults: readonly Fault[] = [
  {
    name: 'reconciler killed in the middle of a sweep',
    part: 'reconciler',
    needs,
    async run({ reconcilers, gateway }, holdMs, random) {
      const before = gateway.calls().records;
      await until(() => gateway.calls().records > before, { describe: 'a sweep under way' });
      const reconciler = pick(reconcilers, random);
      await reconciler.kill();
      await delay(holdMs);
      await reconciler.restart();
    },
  },
  {
    name: 'clock of a reconciler wrong',
    part: 'reconciler',
    needs,
    run: ({ reconcilers }, holdMs, random) => stepClock(pick(reconcilers, random), holdMs, random),
  },
  onTheWay('connections to the gateway slow', { kind: 'slow', oneWayMs: 300 }),
  onTheWay('connections to the gateway stalled', { kind: 'stall' }),
  onTheWay('connections to the gateway accepted and closed', { kind: 'close' }),
  outOfOrder('gateway limiting the rate of calls', { kind: 'answer', status: 429, retryAfterSeconds: 1 }),
  outOfOrder('gateway answering 500', { kind: 'answer', status: 500 }),
  outOfOrder('gateway answering garbage', { kind: 'garbage' }),
  outOfOrder('gateway hanging', { kind: 'hang' }),
];

function onTheWay(name: string, mode: ProxyMode): Fault {
  return { name, part: 'gateway', needs, run: ({ gatewayProxy }, holdMs) => misbehave(gatewayProxy, mode, holdMs) };
}

function outOfOrder(name: string, outage: Outage): Fault {
  return {
    name,
    part: 'gateway',
    needs,
    async run({ gateway }, holdMs) {
      gateway.setOutage(outage);
      await delay(holdMs);
      gateway.setOutage(null);
    },
  };
}
