import { expect, test } from 'vitest';
import { until } from './until.ts';

test('returns the first truthy value', async () => {
  let calls = 0;
  expect(await until(() => (++calls === 3 ? `call ${calls}` : null))).toBe('call 3');
});

test('names the condition in the error', async () => {
  await expect(until(() => false, { timeoutMs: 30, describe: 'the impossible' })).rejects.toThrow('the impossible');
});

test('rethrows an error of the condition at once', async () => {
  const failing = until(() => {
    throw new Error('not yet is not the same as broken');
  });
  await expect(failing).rejects.toThrow('broken');
});
