import fc from 'fast-check';
import { expect, test } from 'vitest';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import {
  isAfter,
  merge,
  newestFirst,
  type Entry,
  type Position,
  type Stretch,
} from '../../src/store/callbacks/receipt-order.ts';

const queue = brandQueue('default', { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: '{order}' });

/** A source that tells at most `step` of its entries at a time, and hides all but every `keeps`-th of those. */
function stretchOf(source: readonly Entry[], after: Position | undefined, step: number, keeps: number): Stretch {
  const left = source.filter((entry) => isAfter(entry, after)).toSorted(newestFirst);
  const told = left.slice(0, step);
  const entries = told.filter(({ jobId }) => Number(jobId) % keeps === 0);
  return { entries, end: left.length > step ? told.at(-1) : undefined };
}

test('returns every entry of every source once, in order, however little each returns at a time', () => {
  const received = fc.array(fc.nat(9), { maxLength: 20 });
  const sizes = {
    limit: fc.integer({ min: 1, max: 7 }),
    step: fc.integer({ min: 1, max: 7 }),
    keeps: fc.constantFrom(1, 3),
  };
  fc.assert(
    fc.property(fc.array(received, { maxLength: 4 }), fc.record(sizes), (times, { limit, step, keeps }) => {
      let ids = 0;
      const sources = times.map((ofSource) =>
        ofSource.map((receivedAtMs) => ({ queue, receivedAtMs, jobId: String((ids += 1)) })),
      );
      const listed: Entry[] = [];
      let after: Position | undefined;
      do {
        const page = merge(
          sources.map((source) => stretchOf(source, after, step, keeps)),
          limit,
        );
        expect(page.entries.length).toBeLessThanOrEqual(limit);
        listed.push(...page.entries);
        after = page.end;
      } while (after !== undefined);
      const wanted = sources.flat().filter(({ jobId }) => Number(jobId) % keeps === 0);
      expect(listed).toEqual(wanted.toSorted(newestFirst));
    }),
  );
});
