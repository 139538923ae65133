// `deliver REFERENCE --to URL`: sends a copy of one stored callback to another address.
import type { Command } from 'commander';
import { createCallbackIndex } from '../store/callbacks/callback-index.ts';
import { createJobReader } from '../store/callbacks/read-callbacks.ts';
import { parseHttpUrl } from './arguments.ts';
import { createCopier, describeCopy, isTaken } from './copier.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { inSession, type Session } from './session.ts';
import { unknownCallback } from './unanswered.ts';

const examples = `
For development with real callbacks: the copy has a delivery's headers and signature, plus \`payalo-copy: yes\`. It does not change
the callback's state.

Examples:
  payalo-receiver deliver b2p01j3abcdef0000000000000000a1b2 --to http://127.0.0.1:8080/payments

Exit codes: 0 answered 2xx, 1 any other answer (or the callback is unknown, or its body is gone).`;

interface DeliverOptions {
  readonly to: string;
  readonly brand?: string;
}

export function addDeliver(program: Command): void {
  program
    .command('deliver')
    .description('send a copy of one callback to another address')
    .argument('<gatewayReference>', "the gateway's reference")
    .requiredOption('--to <url>', 'where the copy goes', parseHttpUrl)
    .option('--brand <brand>', 'needed if there are several brands')
    .addHelpText('after', examples)
    .action(inSession(deliver));
}

async function deliver(session: Session, reference: string, { to, brand }: DeliverOptions): Promise<ExitCode> {
  const { output, queues } = session;
  const redis = await session.redis();
  const callback = (await createCallbackIndex({ redis, queues }).find(reference, brand))?.callback;
  if (callback === undefined) throw unknownCallback(reference);
  const queue = queues.get(callback.brand);
  const ids = callback.jobId === null ? [] : [callback.jobId];
  const [record] = queue === undefined ? [] : await createJobReader(redis)(queue, ids, { withLogs: false });
  if (record?.data === undefined || record.erased)
    throw new CommandError('no', 'Its body is gone: it was erased, or retention removed it.');
  const copied = await createCopier(session, to)(record, record.data);
  output.result(copied, () => output.line(describeCopy(copied)));
  return isTaken(copied) ? exitCodes.done : exitCodes.no;
}
