// What commands need that act as an operator does: the same actions as the API and the console, on Redis directly.
import { createQuarantine, type Quarantine } from '../intake/quarantine/quarantine.ts';
import { createCallbackIndex, type CallbackIndex } from '../store/callbacks/callback-index.ts';
import { createActions, type Actions } from '../ops/actions.ts';
import { createAudit } from '../ops/audit.ts';
import { brandQueue } from '../redis/brand-queue.ts';
import { createDirectIntake } from './direct-intake.ts';
import type { Session } from './session.ts';

export interface OperatorSession {
  readonly callbackIndex: CallbackIndex;
  readonly quarantine: Quarantine;
  readonly actions: Actions;
}

export async function operatorSession({ config, queues, log, redis: connect }: Session): Promise<OperatorSession> {
  const redis = await connect();
  const callbackIndex = createCallbackIndex({ redis, queues });
  const intake = createDirectIntake(config, redis, log);
  const brands = [...config.brands.keys()];
  const quarantine = createQuarantine({ redis, brands, config, accept: (item) => intake.accept(item), log });
  const audit = createAudit({ redis, queue: brandQueue(brands[0] ?? '', config), log });
  const graceMs = config.RECONCILE_GRACE;
  return {
    callbackIndex,
    quarantine,
    actions: createActions({ redis, queues, callbackIndex, quarantine, audit, graceMs, log }),
  };
}
