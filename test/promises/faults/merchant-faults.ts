// The merchant is down, slow, answers wrongly, or has a bad connection.
import { setTimeout as delay } from 'node:timers/promises';
import { answer, type MerchantBehaviour } from '../../../simulator/merchant-behaviour.ts';
import type { ProxyMode } from '../../support/tcp-proxy.ts';
import { misbehave, type Fault } from './fault.ts';

export const merchantFaults: readonly Fault[] = [
  {
    name: 'merchant down',
    part: 'merchant',
    async run({ merchant }, holdMs) {
      await merchant.down();
      await delay(holdMs);
      await merchant.up();
    },
  },
  answering('merchant hanging', { kind: 'hang' }),
  answering('merchant slow', answer(200, { delayMs: 1_000 })),
  answering('merchant answering garbage', { kind: 'garbage' }),
  answering('merchant answering 500', answer(500)),
  onTheWay('connections to the merchant slow', { kind: 'slow', oneWayMs: 400 }),
  onTheWay('connections to the merchant stalled', { kind: 'stall' }),
  onTheWay('answers of the merchant stalled', { kind: 'stall', direction: 'toClient' }),
  onTheWay('connections to the merchant accepted and closed', { kind: 'close' }),
];

function answering(name: string, behaviour: MerchantBehaviour): Fault {
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

function onTheWay(name: string, mode: ProxyMode): Fault {
  return { name, part: 'merchant', run: ({ merchantProxy }, holdMs) => misbehave(merchantProxy, mode, holdMs) };
}
