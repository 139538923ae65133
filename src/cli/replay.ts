// `replay`: delivers one callback again, or all of a state.
import { Option, type Command } from 'commander';
import { replayableStates, type Actions, type ReplayableState, type Target } from '../ops/actions.ts';
import type { ReplayOutcome } from '../store/lifecycle/replay.ts';
import { parseTime } from './arguments.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { operatorSession } from './operator-session.ts';
import { runSession, type Session } from './session.ts';

const examples = `
The merchant gets it again under the same webhook-id, with the whole schedule of retries. A worker must be running.

Examples:
  payalo-receiver replay b2p01j3abcdef0000000000000000a1b2
  payalo-receiver replay --state failed
  payalo-receiver replay --state failed --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --json

Exit codes: 0 back in the queue, 1 not replayed (unknown, already waiting or being delivered, or its body is gone).`;

interface ReplayOptions {
  readonly state?: ReplayableState;
  readonly from?: number;
  readonly to?: number;
  readonly brand?: string;
}

const outcomeTexts: Readonly<Record<ReplayOutcome['kind'], string>> = {
  replayed: 'Back in the queue: it is delivered again, under the same webhook-id.',
  'in-progress': 'Not replayed: it is already waiting or being delivered.',
  superseded: 'Not replayed: a correction replaced it.',
  gone: 'Not replayed: its body is gone.',
  removed:
    'Not replayed: its job was removed from the queue, and its body with it. `reconcile --from 24h` fetches it from the gateway and delivers it under the same webhook-id; so does the next sweep.',
  'not-found': 'Not replayed: no callback with this gatewayReference is stored here.',
};

export function addReplay(program: Command): void {
  program
    .command('replay')
    .description('deliver a callback again, or all in a state')
    .argument('[gatewayReference]', "the gateway's reference")
    .addOption(new Option('--state <state>', 'replay all in this state').choices(replayableStates))
    .option('--from <time>', 'received at or after, ISO 8601 or 2h for two hours ago', parseTime)
    .option('--to <time>', 'received before', parseTime)
    .option('--brand <brand>', 'needed if there are several brands')
    .addHelpText('after', examples)
    .action((reference: string | undefined, options: ReplayOptions, command: Command) => {
      const { state } = options;
      if ((reference === undefined) === (state === undefined)) {
        command.error('error: name a gatewayReference, or a --state to replay all in it', {
          exitCode: exitCodes.usage,
        });
      }
      return runSession(command, async (session) => {
        const { actions } = await operatorSession(session);
        if (reference !== undefined)
          return replayOne(actions, session, { gatewayReference: reference, brand: options.brand });
        return state === undefined ? exitCodes.usage : replayMany(actions, session, state, options);
      });
    });
}

async function replayOne(actions: Actions, { actor, output }: Session, target: Target): Promise<ExitCode> {
  const { kind } = await actions.replay(actor, target);
  output.result({ gatewayReference: target.gatewayReference, outcome: kind }, () => output.line(outcomeTexts[kind]));
  return kind === 'replayed' ? exitCodes.done : exitCodes.no;
}

async function replayMany(
  actions: Actions,
  { actor, output }: Session,
  state: ReplayableState,
  options: ReplayOptions,
): Promise<ExitCode> {
  let total = 0;
  const targets = { state, brand: options.brand, fromMs: options.from, toMs: options.to };
  const replaying = await actions.replayMany(actor, targets, (done) => output.progress(done, total, 'replayed'));
  total = replaying.count;
  const { replayed } = await replaying.done;
  output.result({ count: total, replayed }, () => output.line(`${replayed} of ${total} are back in the queue.`));
  return replayed === total ? exitCodes.done : exitCodes.no;
}
