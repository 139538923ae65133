#!/usr/bin/env node
// The operator commands. They work on REDIS_URL and SPOOL_DIR directly, so they also work when the service is down.
//
// Exit codes: 0 done; 1 the answer is no (unknown reference, a check that failed, not delivered); 2 wrong usage;
// 69 Redis or another service could not be reached; 78 the configuration is invalid. With --json standard output is one JSON
// document, `{ "error": ... }` if there is no result.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { exitCodes } from './cli/exit-codes.ts';
import { errorDocument } from './cli/output.ts';
import { packageVersion } from './telemetry/package-version.ts';

/** Commands are loaded lazily: scripts call the program often. */
const commands: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  inspect: async () => (await import('./cli/inspect.ts')).addInspect,
  replay: async () => (await import('./cli/replay.ts')).addReplay,
  deliver: async () => (await import('./cli/deliver.ts')).addDeliver,
  listen: async () => (await import('./cli/listen.ts')).addListen,
  report: async () => (await import('./cli/report.ts')).addReport,
  quarantine: async () => (await import('./cli/quarantine.ts')).addQuarantine,
  reconcile: async () => (await import('./cli/reconcile.ts')).addReconcile,
  verify: async () => (await import('./cli/verify.ts')).addVerify,
  payin: async () => (await import('./cli/payin.ts')).addPayin,
  send: async () => (await import('./cli/send.ts')).addSend,
  doctor: async () => (await import('./cli/doctor.ts')).addDoctor,
  spool: async () => (await import('./cli/spool.ts')).addSpool,
  erase: async () => (await import('./cli/erase.ts')).addErase,
  brand: async () => (await import('./cli/brand.ts')).addBrand,
  audit: async () => (await import('./cli/audit.ts')).addAudit,
  config: async () => (await import('./cli/config.ts')).addConfig,
  simulate: async () => (await import('./cli/simulate.ts')).addSimulate,
};

/** Builds the program with the given commands, or with all of them. */
export async function createProgram(names: readonly string[] = Object.keys(commands)): Promise<Command> {
  const program = new Command('payalo-receiver')
    .description('Inspect, replay, check and erase the callbacks of a payalo-receiver.')
    .version(packageVersion())
    .option('--json', 'print one JSON document for programs; text for people goes to standard error')
    .showHelpAfterError('(run it with --help for examples)')
    .exitOverride()
    .addHelpText('after', programHelp);
  for (const name of names) (await commands[name]?.())?.(program);
  return program;
}

const programHelp = `
Configured like the service: by the environment, and by .env in the working folder.

Examples:
  payalo-receiver inspect b2p01j3abcdef0000000000000000a1b2
  payalo-receiver inspect --merchant-reference quickstart-001 --json
  payalo-receiver replay --state failed --from 24h
  payalo-receiver doctor --url https://payments.example.com/webhooks/payalo

Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 69 not reachable, 78 invalid configuration.`;

export async function main(argv: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreReaderGone);
  try {
    await (await createProgram(named(argv))).parseAsync([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version also end here, with 0; everything else that commander refuses is wrong usage.
    if (error.exitCode === 0) return;
    const message = error.code === 'commander.help' ? 'Name a command; --help lists them.' : error.message;
    if (argv.includes('--json')) process.stdout.write(`${errorDocument(message)}\n`);
    process.exitCode = exitCodes.usage;
  }
}

/** All commands if none is named: for the help, and for the error that lists them. */
function named(argv: readonly string[]): string[] | undefined {
  const name = argv.slice(2).find((word) => !word.startsWith('-'));
  return name !== undefined && Object.hasOwn(commands, name) ? [name] : undefined;
}

/** `payalo-receiver ... | head`: the reader has gone, and the work is done. */
function ignoreReaderGone(error: Error & { code?: unknown }): void {
  if (error.code !== 'EPIPE') throw error;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
