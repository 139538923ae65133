// The session of commands that act as an operator: the API's and console's actions, directly on Redis.
import { createQuarantine, type Quarantine } from '../intake/quarantine/quarantine.ts';
import { createCallbackIndex, type CallbackIndex } from '../store/callbacks/callback-index.ts';
import { createActions, type Actions } from '../ops/actions.ts';
import { createAudit, type Audit } from '../ops/audit.ts';
import { directIntake } from './direct-intake.ts';
import type { Session } from './session.ts';

export interface OperatorSession {
  readonly callbackIndex: CallbackIndex;
  readonly quarantine: Quarantine;
  readonly actions: Actions;
}

/** Commands write to the same audit trail as the console. */
export async function auditOf({ queues, log, redis: connect }: Session): Promise<Audit> {
  return createAudit({ redis: await connect(), queues: [...queues.values()], log });
}

export async function operatorSession(session: Session): Promise<OperatorSession> {
  const { queues } = session;
  const { config, log, redis, intake } = await directIntake(session);
  const callbackIndex = createCallbackIndex({ redis, queues });
  const brands = [...config.brands.keys()];
  const quarantine = createQuarantine({ redis, brands, config, accept: (item) => intake.accept(item), log });
  const audit = await auditOf(session);
  return {
    callbackIndex,
    quarantine,
    actions: createActions({ redis, queues, callbackIndex, quarantine, audit, config, log }),
  };
}

/** Records an action that only commands have. */
export async function noteAction(session: Session, action: string, target: string, result: string): Promise<void> {
  await (await auditOf(session)).record(session.actor, action, target, result);
}
