// Waits until a connection is ready; one that fails fast refuses every command before.
import { within } from '../async/deadline.ts';
import type { RedisConnection } from './connections.ts';

/** Throws the connection's last error if it does not become ready, or LateError if there was none. */
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
