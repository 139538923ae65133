// Where callbacks are delivered: each brand's FORWARD_URL, or HANDLER_MODULE for all of them.
import type { Config } from '../config/config.ts';
import type { Egress } from '../http/http-pool.ts';
import type { Log } from '../telemetry/log.ts';
import type { Attempt } from './attempt.ts';
import { createHandlerPool, handlerProcessesMax } from './handler/handler-pool.ts';
import { createHttpAttempt } from './http/http-attempt.ts';

export interface Destinations {
  /** By brand. A brand without one is not delivered: its callbacks wait for the merchant's own worker. */
  readonly attempts: ReadonlyMap<string, Attempt>;
  /** The most attempts at once, over all brands. */
  readonly concurrency: number;
  /** An HTTP destination can be down; a function that throws says nothing about the next callback. */
  readonly canBeDown: boolean;
  /** Throws ConfigError if the module is unusable. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export function createDestinations(
  config: Config,
  log: Log,
  now: () => number,
  lookup?: Egress['lookup'],
): Destinations {
  return config.HANDLER_MODULE === undefined
    ? httpDestinations(config, now, lookup)
    : handlerDestinations(config, config.HANDLER_MODULE, log);
}

function httpDestinations(config: Config, now: () => number, lookup: Egress['lookup']): Destinations {
  const opened = [...config.brands.values()].flatMap((brand) => {
    if (brand.forwardUrl === undefined) return [];
    const http = createHttpAttempt({
      url: brand.forwardUrl,
      timeoutMs: config.FORWARD_TIMEOUT,
      connectionsMax: config.FORWARD_CONCURRENCY,
      proxies: config,
      lookup,
      brand,
      now,
    });
    return [{ name: brand.name, ...http }];
  });
  return {
    attempts: new Map(opened.map(({ name, attempt }) => [name, attempt])),
    concurrency: config.FORWARD_CONCURRENCY,
    canBeDown: true,
    check: async () => undefined,
    async close() {
      await Promise.all(opened.map(async ({ close }) => close()));
    },
  };
}

function handlerDestinations(config: Config, module: string, log: Log): Destinations {
  const pool = createHandlerPool({ module, timeoutMs: config.FORWARD_TIMEOUT, log });
  const attempt: Attempt = async (delivery, stop) => pool.attempt(delivery, stop);
  return {
    attempts: new Map([...config.brands.keys()].map((name) => [name, attempt])),
    concurrency: Math.min(config.FORWARD_CONCURRENCY, handlerProcessesMax),
    canBeDown: false,
    check: async () => pool.check(),
    close: async () => pool.close(),
  };
}
