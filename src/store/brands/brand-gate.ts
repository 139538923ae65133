// Keeps a process away from the queues until every brand in Redis is known to be configured.
//
// A brand that is not configured stops the start (ConfigError). If Redis is down at start, the process spools callbacks and
// checks as soon as Redis is up; until the check passes, nothing is enqueued, delivered or swept, and the log says why. The
// check is repeated, so that `brand move` helps without a restart.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError } from '../../config/config-error.ts';
import type { Log } from '../../telemetry/log.ts';
import { noteBrand } from './brand-registry.ts';
import { heartbeatEveryMs, endServing, noteServing } from './brand-serving.ts';
import { findBrandProblems, noteServedBrands, type BrandCheck } from './unowned-brands.ts';

export interface BrandGateDependencies extends BrandCheck {
  readonly log: Log;
}

export class BrandsUncheckedError extends Error {
  readonly code = 'BRANDS_UNCHECKED';
}

const askEveryMs = 1_000;
const logEveryMs = 60_000;

export type BrandGate = ReturnType<typeof createBrandGate>;

export function createBrandGate({ redis, config, log }: BrandGateDependencies) {
  const opened = Promise.withResolvers<void>();
  const stopping = new AbortController();
  const processId = randomUUID();
  let timer: NodeJS.Timeout | undefined;
  let isOpen = false;
  let logged = '';
  let loggedAtMs = -Infinity;

  /** Undefined if Redis does not answer. */
  async function ask(): Promise<string[] | undefined> {
    if (redis.status !== 'ready') return undefined; // the connection itself reports that it is down
    try {
      const problems = await findBrandProblems({ redis, config });
      if (problems.length > 0) return problems;
      await noteServedBrands({ redis, config });
      return [];
    } catch (error) {
      log.warn({ event: 'brands.unknown', err: error });
      return undefined;
    }
  }

  function open(): void {
    if (isOpen || stopping.signal.aborted) return; // two checks ran at once
    isOpen = true;
    opened.resolve();
    timer = setInterval(heartbeat, heartbeatEveryMs);
    timer.unref();
    heartbeat();
  }

  /** Tells other processes that these brands are served. */
  function heartbeat(): void {
    if (redis.status === 'ready') noteServing(redis, config, processId, config.brands).catch(() => undefined);
  }

  async function tryOpen(): Promise<void> {
    const problems = isOpen || stopping.signal.aborted ? undefined : await ask();
    if (problems === undefined) return;
    if (problems.length === 0) open();
    else logProblems(problems);
  }

  async function askOn(): Promise<void> {
    redis.on('ready', () => void tryOpen());
    while (!stopping.signal.aborted) {
      await delay(askEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      await tryOpen();
      if (isOpen) return;
    }
  }

  function logProblems(problems: readonly string[]): void {
    const text = problems.join('; ');
    if (text === logged && performance.now() < loggedAtMs + logEveryMs) return;
    logged = text;
    loggedAtMs = performance.now();
    for (const problem of problems) log.error({ event: 'brands.not_configured', problem });
  }

  return {
    isOpen: () => isOpen,
    whenOpen: opened.promise,

    /** Throws ConfigError if Redis is up and holds callbacks of a brand that is not configured. */
    async start(): Promise<void> {
      const problems = await ask();
      if (problems === undefined) return void askOn();
      if (problems.length > 0) throw new ConfigError('BRAND_NOT_CONFIGURED', problems.join('\n'));
      open();
    },

    /** Checks now rather than within a second. */
    tryOpen,

    /** Stays closed from now on. */
    stop: () => stopping.abort(),

    /** Tells other processes that this one no longer serves its brands. */
    async leave(): Promise<void> {
      clearInterval(timer);
      if (isOpen && redis.status === 'ready')
        await endServing(redis, config, processId, config.brands).catch(() => undefined); // the entry expires by itself
    },

    /**
     * `check` is called before anything is enqueued for a brand; it throws while that is not allowed. A brand that is not
     * configured (from another process's spool) is registered, so that the next start notices that nobody serves it.
     */
    forBrand(brand: string): { check(): void } {
      let isNoted = config.brands.has(brand);
      return {
        check() {
          if (!isOpen)
            throw new BrandsUncheckedError('It is not known yet whether every brand in Redis is configured.');
          if (isNoted) return;
          isNoted = true;
          log.warn({ event: 'brands.not_configured', brand });
          noteBrand(redis, config, brand).catch(() => (isNoted = false));
        },
      };
    },
  };
}
