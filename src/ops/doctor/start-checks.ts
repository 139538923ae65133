// The doctor's checks that every process runs at start: whether callbacks are durable here. Separate, so that a process does
// not load what only the CLI's doctor needs.
import type { Log } from '../../telemetry/log.ts';
import { checkLeftQueues } from './doctor-queues.ts';
import { checkRedis } from './doctor-redis.ts';
import { checkSpoolFolder } from './doctor-spool.ts';
import type { DoctorOptions } from './doctor.ts';

export interface StartCheckOptions extends Pick<DoctorOptions, 'config' | 'queues' | 'redis' | 'now'> {
  readonly log: Pick<Log, 'warn' | 'info'>;
}

/** Logs each finding as a warning; the start continues, since a receiver that is down loses callbacks. */
export async function runStartChecks({ config, queues, redis, log, now = Date.now }: StartCheckOptions): Promise<void> {
  const checks = await Promise.all([
    checkRedis({ redis, queues: [...queues], now }),
    config.roles.has('work') ? checkLeftQueues(config, redis) : [],
    // A process that receives nothing needs no spool.
    config.roles.has('receive')
      ? checkSpoolFolder({ dir: config.SPOOL_DIR, maxBytes: config.SPOOL_MAX_BYTES, production: config.production })
      : [],
  ]);
  const failedChecks = checks.flat().filter(({ status }) => status !== 'ok');
  for (const { name, ...rest } of failedChecks) log.warn({ event: 'doctor.finding', check: name, ...rest });
  if (failedChecks.length === 0) log.info({ event: 'doctor.well', checks: checks.flat().length });
}
