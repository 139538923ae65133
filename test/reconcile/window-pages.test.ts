// Reading a window of records to its end, with any cursors of the gateway.
import { expect, test } from 'vitest';
import type { RecordsAnswer } from '../../src/reconcile/gateway/gateway-client.ts';
import { windowPages } from '../../src/reconcile/sweep/window-pages.ts';

const window = { fromMs: 0, toMs: 3_600_000 };
const { signal } = new AbortController();
const pageTo = (next: string | undefined): RecordsAnswer => ({ kind: 'page', transactions: [], unreadable: [], next });

async function stepsOf(answerOf: (cursor: string | undefined, pageSize: number) => RecordsAnswer) {
  let size = 0;
  const gateway = {
    records: async ({ pageSize }: { pageSize: number }) => answerOf(undefined, (size = pageSize)),
    nextRecords: async (cursor: string) => answerOf(cursor, size),
  };
  const steps: (string | number)[] = [];
  for await (const step of windowPages(gateway, window, 100, signal)) {
    if (step.kind === 'page') steps.push(step.page.next ?? 'last');
    else if (step.kind !== 'part') steps.push(step.kind === 'failed' ? step.reason : step.kind);
  }
  return steps;
}

test.each([
  ['itself', { a: 'a' }, ['a', 'cursor-repeats-itself']],
  ['an earlier page', { a: 'b', b: 'c', c: 'a' }, ['a', 'b', 'c', 'cursor-repeats-itself']],
])('fails where a page names %s as the next one', async (_name, nexts: Record<string, string>, steps) => {
  expect(await stepsOf((cursor) => pageTo(cursor === undefined ? 'a' : nexts[cursor]))).toEqual(steps);
});

test('follows the same cursors again when the window is read again', async () => {
  const nexts: Record<string, string | undefined> = { a: 'b' };
  const steps = await stepsOf((cursor, pageSize) => {
    if (cursor === 'b' && pageSize === 100) return { kind: 'too-large' };
    return pageTo(cursor === undefined ? 'a' : nexts[cursor]);
  });
  expect(steps).toEqual(['a', 'b', 'restarted', 'a', 'b', 'last']);
});
