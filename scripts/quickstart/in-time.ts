// A deadline for a promise, so that the quickstart never waits for ever.
import { setTimeout as delay } from 'node:timers/promises';

export const stepMs = 20_000;

export async function inTime<T>(coming: Promise<T>, otherwise: string): Promise<T> {
  const controller = new AbortController();
  const late = delay(stepMs, undefined, { signal: controller.signal }).then(() => {
    throw new Error(`${otherwise} within ${stepMs / 1_000} s.`);
  });
  try {
    return await Promise.race([coming, late]);
  } finally {
    late.catch(() => undefined);
    controller.abort();
  }
}
