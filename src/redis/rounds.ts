// A round of work on Redis again and again, one at a time, while its connection is there.
import type { RedisConnection } from './connections.ts';

export interface RoundsDependencies {
  readonly redis: RedisConnection;
  readonly everyMs: number;
  readonly round: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export function createRounds({ redis, everyMs, round, onError }: RoundsDependencies) {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  function tick(): void {
    if (redis.status !== 'ready') return; // the connection itself says that it is down
    running ??= round()
      .catch(onError)
      .finally(() => {
        running = undefined;
      });
  }

  return {
    start(): void {
      timer = setInterval(tick, everyMs);
      timer.unref();
      if (redis.status === 'ready') tick();
      else redis.once('ready', tick);
    },

    /** Starts no further round, and waits for the one that runs. */
    async stop(): Promise<void> {
      clearInterval(timer);
      await running;
    },
  };
}
