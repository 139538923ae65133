// A connection that fails fast refuses everything until it is ready.
import { within } from '../async/deadline.ts';
import type { RedisConnection } from './connections.ts';

/** Throws why it does not get there: the connection's last error, or LateError where there was none. */
export async function untilReady(redis: RedisConnection, limitMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  const ready = Promise.withResolvers<void>();
  let lastError: Error | undefined;
  const onError = (error: Error) => (lastError = error);
  redis.once('ready', ready.resolve);
  redis.on('error', onError);
  try {
    await within(limitMs, ready.promise);
  } catch (error) {
    throw lastError ?? error;
  } finally {
    redis.off('ready', ready.resolve);
    redis.off('error', onError);
  }
}
