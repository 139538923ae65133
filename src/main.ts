// The process: reads the configuration, starts the roles named on the command line, and stops them on a signal.
//
// Exit codes: 0 after an orderly stop, 1 after a stop that took too long or an unexpected error, 78 if the
// configuration is invalid (sysexits.h, EX_CONFIG).
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { startRoles, type Service } from './roles.ts';
import { ConfigError } from './config/config-error.ts';
import { loadConfig, readEnvironment } from './config/config.ts';
import { ListenError } from './http/listen-error.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { takeOverStandardStreams } from './telemetry/standard-streams.ts';

// By default V8 lets `all` grow to 300 MB under load; now it takes 210 MB (docs/performance.md).
setFlagsFromString('--heap-growing-percent=100');

const exitConfig = 78;
/** npm forwards a signal that the whole process group already got; that echo does not count as the user's second signal. */
const echoMs = 1_000;

export async function main(roleArguments: readonly string[]): Promise<void> {
  const metrics = createMetrics();
  const streams = takeOverStandardStreams((lines) => metrics.logLinesDropped.inc(lines));
  const loaded = loadConfig(readEnvironment(), roleArguments);
  if ('problems' in loaded) {
    process.stderr.write(`${loaded.problems.join('\n')}\n`);
    process.exitCode = exitConfig;
    return;
  }
  const { config } = loaded;
  const log = createLog({ level: config.LOG_LEVEL, destination: streams.output });
  streams.tellTo(log);
  process.on('uncaughtException', (error) => endAfter(log, 'uncaughtException', error));
  process.on('unhandledRejection', (reason) => endAfter(log, 'unhandledRejection', reason));
  const starting = startRoles(config, log, metrics).catch(endWithSentence);
  // Registered before everything is up: a listener may already have answered callbacks.
  stopOnSignals(starting, log, config.SHUTDOWN_TIMEOUT);
  await starting;
  log.info({ event: 'service.started', roles: [...config.roles] });
}

/** Problems that only a start reveals: a module that cannot be loaded, a port in use. */
function endWithSentence(error: unknown): never {
  if (!(error instanceof ConfigError) && !(error instanceof ListenError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(error instanceof ConfigError ? exitConfig : 1);
}

function stopOnSignals(starting: Promise<Service>, log: Log, timeoutMs: number): void {
  let stoppingSince: number | undefined;
  const onSignal = (signal: string) => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince < echoMs) return;
      log.warn({ event: 'service.ended_at_once', signal });
      process.exit(1);
    }
    stoppingSince = performance.now();
    log.info({ event: 'service.stopping', signal, timeoutMs });
    setTimeout(() => {
      log.error({ event: 'service.stop_overdue', timeoutMs });
      process.exit(1);
    }, timeoutMs).unref();
    const stopped = starting.then((service) => service.stop());
    stopped.then(
      () => {
        log.info({ event: 'service.stopped', ms: Math.round(performance.now() - (stoppingSince ?? 0)) });
        process.exit(0);
      },
      (error: unknown) => endAfter(log, 'stop', error),
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

/** After an unexpected error the state is unknown: exit, and let the supervisor restart the process. */
function endAfter(log: Log, where: string, error: unknown): void {
  log.fatal({ event: 'service.failed', where, err: error instanceof Error ? error : new Error(String(error)) });
  process.exit(1);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2));
}
