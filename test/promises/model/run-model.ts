// Runs random commands on the product and the model for some time. A failing sequence is shrunk to the fewest commands.
import fc from 'fast-check';
import { anyCommand, settleAll, type ModelCommand } from './commands.ts';
import { expectNothing } from './expected.ts';
import { createReal, prepareGround } from './real.ts';

export interface ModelOptions {
  readonly seed: number;
  readonly seconds: number;
}

export interface ModelRun {
  readonly sequences: number;
  readonly commands: number;
  /** Undefined if the product agreed with the model. */
  readonly failure: string | undefined;
}

const commandsMax = 40;
/** A sequence that hangs counts as failed. */
const sequenceMs = 60_000;

export async function runModel({ seed, seconds }: ModelOptions): Promise<ModelRun> {
  await using ground = await prepareGround();
  let sequences = 0;
  let commands = 0;
  let underWay: Promise<void> | undefined;

  async function run(list: Iterable<ModelCommand>): Promise<void> {
    await using real = createReal(ground);
    const expected = expectNothing();
    await fc.asyncModelRun(() => ({ model: expected, real }), list);
    await settleAll.run(expected, real);
    sequences += 1;
    commands += [...list].length;
  }

  const anySequence = fc.commands(anyCommand, { maxCommands: commandsMax, size: 'max' });
  const property = fc.asyncProperty(anySequence, (list) => {
    underWay = run(list);
    return underWay;
  });
  const details = await fc.check(property, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: seconds * 1_000,
    timeout: sequenceMs,
  });
  await underWay?.catch(() => undefined); // the sequence that timed out
  const { failed, errorInstance } = details;
  const reason = errorInstance instanceof Error ? errorInstance.stack : String(errorInstance);
  return { sequences, commands, failure: failed ? `${fc.defaultReportMessage(details)}\n${reason}` : undefined };
}
