// Repeats a round of work on Redis, one at a time, while the connection is ready.
import type { RedisConnection } from './connections.ts';

export interface RoundsDependencies {
  readonly redis: RedisConnection;
  readonly everyMs: number;
  readonly round: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export function createRounds({ redis, everyMs, round, onError }: RoundsDependencies) {
  let isStopping = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  /** A round now, or the one that runs already. Never rejects. */
  async function run(): Promise<void> {
    running ??= round()
      .catch(onError)
      .finally(() => {
        running = undefined;
      });
    await running;
  }

  function tick(): void {
    if (redis.status === 'ready') void run(); // else the connection itself reports that it is down
  }

  return {
    run,

    start: (): void => {
      timer = setInterval(tick, everyMs);
      timer.unref();
      if (redis.status === 'ready') tick();
      else redis.once('ready', tick);
    },

    /** Whether the current round should end early. */
    isStopping: () => isStopping,

    /** Starts no further round, and waits for the current one. */
    stop: async (): Promise<void> => {
      isStopping = true;
      clearInterval(timer);
      await running;
    },
  };
}
