// Runs an action over items with limited concurrency. Rejects with the first error once all running actions have ended.

export async function inParallel<T>(
  items: readonly T[],
  atOnceMax: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const lane = async () => {
    for (const item of left) await action(item);
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(atOnceMax, items.length) }, lane));
  const failed = lanes.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
