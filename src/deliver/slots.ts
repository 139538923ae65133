// FORWARD_CONCURRENCY: how many deliveries this process has in flight, over all brands.
//
// Half of the slots are reserved for the brands in equal parts, at least one each; the others go to whoever comes first. So a
// brand whose merchant hangs cannot take all of them, and a brand that is the only one with work can use most.

export type Release = () => void;

export type Slots = ReturnType<typeof createSlots>;

export function createSlots(limit: number, names: readonly string[]) {
  const own = names.length <= 1 ? limit : slotsKept(limit, names.length);
  const common = limit - own * names.length;
  const inFlight = new Map(names.map((name) => [name, 0]));
  const waiting: { name: string; resolve: (release: Release | undefined) => void }[] = [];
  let closed = false;

  const countOf = (name: string) => inFlight.get(name) ?? 0;
  const commonUsed = () => [...inFlight.values()].reduce((sum, count) => sum + Math.max(0, count - own), 0);
  const isFree = (name: string) => countOf(name) < own || commonUsed() < common;

  function occupy(name: string): Release {
    inFlight.set(name, countOf(name) + 1);
    return () => {
      inFlight.set(name, countOf(name) - 1);
      const index = waiting.findIndex((waiter) => isFree(waiter.name));
      const [next] = index < 0 ? [] : waiting.splice(index, 1);
      next?.resolve(occupy(next.name));
    };
  }

  return {
    /** The most that one brand can have in flight. */
    maxPerBrand: own + common,
    /** Waits for a slot; undefined if it was closed or dismissed. */
    async take(name: string): Promise<Release | undefined> {
      if (closed) return undefined;
      if (isFree(name)) return occupy(name);
      return new Promise((resolve) => waiting.push({ name, resolve }));
    },
    /** Dismisses everyone who waits for a slot of this brand. */
    dismiss(name: string): void {
      const dismissed = waiting.filter((waiter) => waiter.name === name);
      const rest = waiting.filter((waiter) => waiter.name !== name);
      waiting.splice(0, waiting.length, ...rest);
      for (const waiter of dismissed) waiter.resolve(undefined);
    },
    /** Dismisses everyone who waits, now and later. */
    close(): void {
      closed = true;
      for (const waiter of waiting.splice(0)) waiter.resolve(undefined);
    },
  };
}

/** Fewer slots than brands cannot be divided; createDelivery provides enough. */
function slotsKept(limit: number, brands: number): number {
  if (limit < brands) return 0;
  return Math.max(Math.floor(limit / (2 * brands)), 1);
}
