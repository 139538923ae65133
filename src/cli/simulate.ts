// `simulate`: a simulated gateway and a sample merchant for development.
import type { Command } from 'commander';
import { gatewayPortDefault, merchantPortDefault, runSimulator, simulatorHelp } from '../../simulator/run-simulator.ts';
import { parseNumber, parsePort } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { createOutput } from './output.ts';

const examples = `
Examples:
  payalo-receiver simulate
  payalo-receiver simulate --gateway-port 5010 --merchant-port 5011 --loss 0.1 --duplicates 0.05 --seed 7

Exit codes: 0 ended by a signal, 2 wrong usage, 69 a port is taken.

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
  readonly answerDelay?: number;
  readonly statusCalls?: number;
  readonly seed?: number;
}

export function addSimulate(program: Command): void {
  program
    .command('simulate')
    .description('run a simulated gateway and a sample merchant, until Ctrl-C')
    .option('--host <host>', 'where they listen', '127.0.0.1')
    .option('--gateway-port <port>', "the gateway's port", parsePort, gatewayPortDefault)
    .option('--merchant-port <port>', "the sample merchant's port", parsePort, merchantPortDefault)
    .option('--key <keys...>', "API keys of the gateway's merchants")
    .option('--secret <secrets...>', 'FORWARD_SECRET: the merchant checks signatures')
    .option('--delay <ms>', 'time from start to callback', parseNumber(0, 86_400_000))
    .option('--loss <share>', 'share of callbacks that never come, 0 to 1', parseNumber(0, 1))
    .option('--duplicates <share>', 'share of callbacks that come twice, 0 to 1', parseNumber(0, 1))
    .option('--answer-delay <ms>', "delay of the gateway's answers", parseNumber(0, 600_000))
    .option(
      '--status-calls <number>',
      'status calls per second before the gateway answers 429',
      parseNumber(1, 1_000_000),
    )
    .option('--seed <number>', 'makes random choices repeatable', parseNumber(0, 4_294_967_295))
    .addHelpText('after', examples)
    .action(async (options: SimulateOptions, command: Command) => {
      const output = createOutput({ json: command.optsWithGlobals()['json'] === true });
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      try {
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
            answerDelayMs: options.answerDelay,
            statusCallsPerSecondMax: options.statusCalls,
            seed: options.seed,
            onListening: (addresses) => output.result(addresses, () => undefined), // people see the lines below
          },
          (line) => output.say(line),
          stop.signal,
        );
      } catch (error) {
        if (!(error instanceof Error && 'syscall' in error && error.syscall === 'listen')) throw error;
        output.complain(`The simulator cannot listen (${error.message}). Choose other ports.`);
        output.end();
        process.exitCode = exitCodes.unavailable;
        return;
      }
      process.exitCode = exitCodes.done;
    });
}
