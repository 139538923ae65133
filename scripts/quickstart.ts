// `npm run quickstart`: starts everything on this machine and demonstrates the product: a pay-in at a simulated
// gateway, its callback, the delivery to a sample merchant, and the same callback again.
//
// With `--forge` a thief of the API key sends a callback for a payment that was never made, and the service catches it.
//
// Runs until Ctrl-C; with `--once` it ends after the demonstration. The exit code is 0 only if the callback reached the
// merchant, otherwise 1 with a sentence that says why. It stops all processes and deletes all data when it ends.
import { once } from 'node:events';
import { curlByHand } from './quickstart/curl-by-hand.ts';
import { runForgery } from './quickstart/forgery.ts';
import { runPayIn } from './quickstart/pay-in.ts';
import { startStage } from './quickstart/stage.ts';
import { createTerminal } from './quickstart/terminal.ts';

/** npm forwards a signal that its process group already got; that echo is not a second signal from the user. */
const echoMs = 1_000;

const endsByItself = process.argv.includes('--once');
const forges = process.argv.includes('--forge');
const terminal = createTerminal(process.stdout);
const interrupted = listenForSignals();

process.exit(await main());

async function main(): Promise<number> {
  await using started = new AsyncDisposableStack();
  try {
    await Promise.race([play(started), once(interrupted, 'abort')]);
  } catch (error) {
    terminal.failure(error instanceof Error ? error.message : String(error));
    return 1;
  }
  if (!interrupted.aborted) return 0;
  terminal.note('\nStopping.');
  return endsByItself ? 130 : 0;
}

async function play(started: AsyncDisposableStack): Promise<void> {
  terminal.title('payalo-receiver quickstart');
  const stage = await startStage({ started, terminal, confirm: forges ? 'before' : 'after' });
  await Promise.race([runPayIn(stage, terminal), stage.broken]);
  if (forges) await Promise.race([runForgery(stage, terminal), stage.broken]);
  if (endsByItself) return;

  terminal.block('Send a callback by hand; sent twice, the second one is a duplicate:', curlByHand(stage));
  if (stage.consoleUrl !== undefined) terminal.block('Look at the callbacks in the console:', stage.consoleUrl);
  terminal.note('Everything stays up until Ctrl-C. What happens is shown here:\n');
  stage.narrate(terminal.event);
  await stage.broken;
}

/** Aborts at the first signal, for a graceful shutdown; a second one ends this process at once. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (firstAt !== undefined && performance.now() - firstAt > echoMs) process.exit(130);
      firstAt ??= performance.now();
      controller.abort();
    });
  }
  return controller.signal;
}
