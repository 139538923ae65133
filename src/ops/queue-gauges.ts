// The gauges of the queue: read from Redis at each scrape, and absent while Redis cannot be read (an old value would look
// current).
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { QueueState, ReadQueueState } from './queue-state.ts';

const sampleEveryMs = 60_000;
const samplesMax = 60;

interface MemorySample {
  readonly at: number;
  readonly usedBytes: number;
}

export interface QueueGaugesDeps {
  readonly queueState: ReadQueueState;
  readonly isRedisUp: () => boolean;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now?: () => number;
}

export function createQueueGauges({ queueState, isRedisUp, metrics, log, now = Date.now }: QueueGaugesDeps) {
  const samples: MemorySample[] = [];

  function show(state: QueueState): void {
    for (const [name, count] of Object.entries(state.jobs)) metrics.queueJobs.set({ state: name }, count);
    metrics.oldestWaitingSeconds.set(state.oldestWaitingSeconds);
    metrics.oldestUndeliveredSeconds.set(state.oldestUndeliveredSeconds);
    metrics.quarantineEntries.set(state.quarantineEntries);
    metrics.unconfirmed.set(state.unconfirmed);
    const seconds = state.memory === undefined ? undefined : untilFull(state.memory);
    if (seconds === undefined) metrics.redisMemoryFullSeconds.remove();
    else metrics.redisMemoryFullSeconds.set(seconds);
  }

  function untilFull({ usedBytes, maxBytes }: NonNullable<QueueState['memory']>): number | undefined {
    const last = samples.at(-1);
    if (last === undefined || now() - last.at >= sampleEveryMs) samples.push({ at: now(), usedBytes });
    if (samples.length > samplesMax) samples.shift();
    return secondsUntilFull(samples, { at: now(), usedBytes }, maxBytes);
  }

  /** Call before the registry is read. Never throws. */
  return async function refresh(): Promise<void> {
    try {
      show(await queueState());
      metrics.redisUp.set(isRedisUp() ? 1 : 0);
    } catch (error) {
      log.debug({ event: 'metrics.queue_unread', err: error });
      metrics.redisUp.set(0);
      metrics.queueJobs.reset();
      for (const gauge of [
        metrics.oldestWaitingSeconds,
        metrics.oldestUndeliveredSeconds,
        metrics.quarantineEntries,
        metrics.unconfirmed,
        metrics.redisMemoryFullSeconds,
      ]) {
        gauge.remove();
      }
    }
  };
}

/** Extrapolates the growth since the oldest sample; Infinity while it does not grow, undefined if there is no limit. */
function secondsUntilFull(
  samples: readonly MemorySample[],
  current: MemorySample,
  maxBytes: number,
): number | undefined {
  const first = samples[0];
  if (maxBytes === 0 || first === undefined) return undefined;
  const left = maxBytes - current.usedBytes;
  if (left <= 0) return 0;
  const grown = current.usedBytes - first.usedBytes;
  const seconds = (current.at - first.at) / 1_000;
  // A process's first minute is not representative: connections and buffers are still being created.
  return grown <= 0 || seconds < sampleEveryMs / 1_000 ? Infinity : (left * seconds) / grown;
}
