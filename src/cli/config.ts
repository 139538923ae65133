// `config`: prints the effective configuration, and checks whether the service would start with it.
import type { Command } from 'commander';
import { ConfigError } from '../config/config-error.ts';
import { loadConfig, readEnvironment, readSources, type Config } from '../config/config.ts';
import { effectiveConfig, type EffectiveValue } from '../config/effective-config.ts';
import { createDestinations } from '../deliver/destinations.ts';
import { createRedis } from '../redis/connections.ts';
import { untilReady } from '../redis/until-ready.ts';
import { findBrandProblems } from '../store/brands/unowned-brands.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { createOutput, type Cell } from './output.ts';

const examples = `
A value comes from the default, the environment, the file .env in the working folder, or the file that NAME_FILE names.
Secrets are masked.

Examples:
  payalo-receiver config
  payalo-receiver config --check
  payalo-receiver config --check receive work

Exit codes: 0 done; with --check, 78 if the start would end with 78, with the same error lines.`;

const redisWithinMs = 4_000;

export function addConfig(program: Command): void {
  program
    .command('config')
    .description('show the effective configuration, each value with its origin')
    .argument('[roles...]', 'the roles to start; default: all')
    .option('--check', 'check whether the service would start')
    .addHelpText('after', examples)
    .action(async (roles: string[], { check }: { check?: true }, command: Command) => {
      const output = createOutput({ json: command.optsWithGlobals()['json'] === true });
      const values = effectiveConfig(readSources());
      const loaded = loadConfig(readEnvironment(), roles);
      const problems = await problemsOf(loaded, check === true);
      const notices = 'config' in loaded ? loaded.config.notices : [];
      const exit: ExitCode = check && problems.length > 0 ? exitCodes.config : exitCodes.done;
      output.result({ values, problems, notices }, () => {
        if (!check) output.table(['VARIABLE', 'VALUE', 'FROM'], values.map(toRow));
        else if (problems.length === 0) output.line('The service would start with this configuration.');
        for (const notice of notices) output.line(`Notice: ${notice}.`);
      });
      for (const problem of problems) output.complain(problem);
      process.exitCode = exit;
    });
}

function toRow({ name, value, origin }: EffectiveValue): (Cell | string)[] {
  return [
    name,
    value ?? { text: 'unset', style: 'dim' },
    { text: origin, ...(origin === 'default' && { style: 'dim' }) },
  ];
}

/** The error lines of a start. */
async function problemsOf(loaded: ReturnType<typeof loadConfig>, check: boolean): Promise<string[]> {
  if ('problems' in loaded) return loaded.problems;
  if (!check) return [];
  const log = createLog({ level: 'silent', destination: { write: () => undefined } });
  return [...(await brandProblems(loaded.config, log)), ...(await handlerProblems(loaded.config, log))];
}

/** A Redis that is down does not prevent a start either. */
async function brandProblems(config: Config, log: Log): Promise<string[]> {
  const redis = createRedis(config.redis, { kind: 'producer', commandTimeoutMs: redisWithinMs }, 'config', log);
  try {
    await untilReady(redis, redisWithinMs);
    return await findBrandProblems({ redis, config });
  } catch {
    return [];
  } finally {
    redis.disconnect();
  }
}

async function handlerProblems(config: Config, log: Log): Promise<string[]> {
  if (!config.roles.has('work')) return [];
  const destinations = createDestinations(config, log, Date.now);
  try {
    await destinations.check();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return [error.message];
    throw error;
  } finally {
    await destinations.close();
  }
}
