import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSlots, type Release } from '../../src/deliver/slots.ts';

test('a brand alone may use every slot', async () => {
  const slots = createSlots(3, ['a']);
  expect(slots.maxPerBrand).toBe(3);
  const releases = await Promise.all([slots.take('a'), slots.take('a'), slots.take('a')]);
  const fourth = slots.take('a');
  releases[0]?.();
  expect(await fourth).toBeTypeOf('function');
});

test('a brand whose deliveries all hang leaves slots to the others', async () => {
  const slots = createSlots(8, ['hanging', 'fine']);
  for (let taken = 0; taken < slots.maxPerBrand; taken += 1) await slots.take('hanging');
  expect(slots.maxPerBrand).toBe(6);
  expect(await slots.take('fine')).toBeTypeOf('function');
  expect(await slots.take('fine')).toBeTypeOf('function');
});

test.for([
  [4, 3],
  [3, 3],
  [5, 4],
  [7, 2],
  [50, 40],
] as const)('of %i slots each of %i brands keeps one, however many the others hold', async ([limit, number]) => {
  const names = Array.from({ length: number }, (_, index) => `brand-${index}`);
  for (const last of names) {
    const slots = createSlots(limit, names);
    let taken = 0;
    // The others take as many as they can, each in turn.
    for (const name of names.filter((other) => other !== last)) {
      for (let count = 0; count < slots.maxPerBrand; count += 1) {
        void slots.take(name).then((release) => (taken += release === undefined ? 0 : 1));
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(taken).toBeLessThan(limit);
    const first = await Promise.race([slots.take(last), new Promise((resolve) => setImmediate(resolve, 'none'))]);
    expect(first).toBeTypeOf('function');
  }
});

test('never grants more slots than exist, never loses one, and serves every waiter', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 60 }),
      async (limit, wishes) => {
        const slots = createSlots(limit, ['a', 'b', 'c']);
        const held: Release[] = [];
        let inFlight = 0;
        let most = 0;
        const served = wishes.map(async (name) => {
          const release = await slots.take(name);
          inFlight += 1;
          most = Math.max(most, inFlight);
          if (release !== undefined) held.push(release);
        });
        for (let turn = 0; turn < wishes.length; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve));
          const release = held.shift();
          if (release !== undefined) inFlight -= 1;
          release?.();
        }
        await Promise.all(served);
        expect(most).toBeLessThanOrEqual(limit);
      },
    ),
    { numRuns: 30 },
  );
});

test('once closed, every waiter is dismissed', async () => {
  const slots = createSlots(1, ['a']);
  await slots.take('a');
  const waiting = slots.take('a');
  slots.close();
  expect(await waiting).toBeUndefined();
  expect(await slots.take('a')).toBeUndefined();
});

test('the waiters of one brand can be dismissed without the others', async () => {
  const slots = createSlots(2, ['a', 'b']);
  const releases = [await slots.take('a'), await slots.take('b')];
  const [ofA, ofB] = [slots.take('a'), slots.take('b')];
  slots.dismiss('a');
  expect(await ofA).toBeUndefined();
  for (const release of releases) release?.();
  expect(await ofB).toBeTypeOf('function');
});
