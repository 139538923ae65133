// Limits how many actions run at once; the others wait in order.

export type Semaphore = <T>(action: () => Promise<T>) => Promise<T>;

export function createSemaphore(atOnceMax: number): Semaphore {
  let free = atOnceMax;
  const waiting: (() => void)[] = [];
  return async (action) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await action();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
