// `simulate`: a gateway and a sample merchant to develop against.
import type { Command } from 'commander';
import { gatewayPortDefault, merchantPortDefault, runSimulator, simulatorHelp } from '../simulator/run-simulator.ts';
import { parseCount } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';

const examples = `
Examples:
  payalo-receiver simulate
  payalo-receiver simulate --gateway-port 5010 --merchant-port 5011 --loss 0.1 --duplicates 0.05 --seed 7

${simulatorHelp}`;

interface SimulateOptions {
  readonly host: string;
  readonly gatewayPort: number;
  readonly merchantPort: number;
  readonly key?: string[];
  readonly secret?: string[];
  readonly delay?: number;
  readonly loss?: number;
  readonly duplicates?: number;
  readonly seed?: number;
}

export function addSimulate(program: Command): void {
  program
    .command('simulate')
    .description('run a gateway and a sample merchant to develop against, until Ctrl-C')
    .option('--host <host>', 'where they listen', '127.0.0.1')
    .option('--gateway-port <port>', 'of the gateway', parseCount, gatewayPortDefault)
    .option('--merchant-port <port>', 'of the sample merchant', parseCount, merchantPortDefault)
    .option('--key <keys...>', "API keys of the gateway's merchants")
    .option('--secret <secrets...>', 'FORWARD_SECRET: the merchant checks signatures')
    .option('--delay <ms>', 'from start to callback', Number)
    .option('--loss <share>', 'of callbacks that never come, 0 to 1', Number)
    .option('--duplicates <share>', 'of callbacks that come twice, 0 to 1', Number)
    .option('--seed <number>', 'makes chance repeatable', Number)
    .addHelpText('after', examples)
    .action(async (options: SimulateOptions) => {
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      await runSimulator(
        {
          host: options.host,
          gatewayPort: options.gatewayPort,
          merchantPort: options.merchantPort,
          keys: options.key,
          forwardSecrets: options.secret,
          callbackDelayMs: options.delay,
          lossProbability: options.loss,
          duplicateProbability: options.duplicates,
          seed: options.seed,
        },
        (line) => process.stdout.write(`${line}\n`),
        stop.signal,
      );
      process.exitCode = exitCodes.done;
    });
}
