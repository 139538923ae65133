import fc from 'fast-check';
import { expect, test } from 'vitest';
import { retryAfterMaxMs, verdictOf, type VerdictCase } from '../../src/deliver/verdict.ts';

const nowMs = Date.parse('2026-11-24T12:00:00Z');

function caseOf(status: number, more: Partial<VerdictCase> = {}): VerdictCase {
  return {
    result: { kind: 'answered', status, retryAfter: undefined, answer: '' },
    position: 0,
    scheduleMs: [1_000, 2_000],
    nowMs,
    random: 0,
    ...more,
  };
}

test('any 2xx is delivered, after any number of attempts', () => {
  fc.assert(
    fc.property(fc.integer({ min: 200, max: 299 }), fc.nat(20), (status, position) => {
      expect(verdictOf(caseOf(status, { position }))).toEqual({ kind: 'done' });
    }),
  );
});

const unsuccessful = fc.integer({ min: 100, max: 599 }).filter((status) => status < 200 || status > 299);

test('every other status waits as scheduled, with up to 20 % jitter', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(unsuccessful, fc.constantFrom(0, 1), random, (status, position, chance) => {
      const verdict = verdictOf(caseOf(status, { position, random: chance }));
      const waitMs = Math.round((position + 1) * 1_000 * (1 + 0.2 * chance));
      expect(verdict).toEqual({ kind: 'retry', waitMs });
    }),
  );
});

test('after the last wait of the schedule it fails', () => {
  fc.assert(
    fc.property(unsuccessful, fc.integer({ min: 2, max: 9 }), (status, position) => {
      const reason = `HTTP ${status}, the last of ${position + 1} attempts`;
      expect(verdictOf(caseOf(status, { position }))).toEqual({ kind: 'failed', reason });
    }),
  );
});

test('an error waits as well; a permanent one fails at once; a handler that returns has delivered', () => {
  expect(verdictOf(caseOf(0, { result: { kind: 'error', error: 'timeout' } }))).toEqual({
    kind: 'retry',
    waitMs: 1_000,
  });
  expect(verdictOf(caseOf(0, { result: { kind: 'permanent', error: 'PermanentError' } }))).toEqual({
    kind: 'failed',
    reason: 'PermanentError',
  });
  expect(verdictOf(caseOf(0, { result: { kind: 'returned' } }))).toEqual({ kind: 'done' });
});

test('a schedule without a wait has none', () => {
  const scheduleMs = [0];
  expect(verdictOf(caseOf(500, { scheduleMs }))).toEqual({ kind: 'retry', waitMs: 0 });
  const result = { kind: 'error', error: 'timeout' } as const;
  expect(verdictOf(caseOf(0, { scheduleMs, result }))).toEqual({ kind: 'retry', waitMs: 0 });
});

test.for([
  ['2', 2_000],
  ['Tue, 24 Nov 2026 12:00:05 GMT', 5_000],
  ['1', 1_000],
  ['0', 1_000],
  ['999999999999', retryAfterMaxMs],
  ['Tue, 24 Nov 2099 12:00:05 GMT', retryAfterMaxMs],
  ['Tue, 24 Nov 2020 12:00:05 GMT', 1_000],
  ['soon', 1_000],
  ['-5', 1_000],
  ['', 1_000],
] as const)('with Retry-After %j the wait of a second becomes %d ms', ([retryAfter, waitMs]) => {
  const result = { kind: 'answered', status: 429, retryAfter, answer: '' } as const;
  expect(verdictOf(caseOf(429, { result }))).toEqual({ kind: 'retry', waitMs });
});

test('a Retry-After date that names no time zone is UTC, wherever the worker runs', () => {
  const zone = process.env['TZ'];
  process.env['TZ'] = 'America/New_York';
  try {
    const result = { kind: 'answered', status: 429, retryAfter: 'Tue Nov 24 12:00:05 2026', answer: '' } as const;
    expect(verdictOf(caseOf(429, { result }))).toEqual({ kind: 'retry', waitMs: 5_000 });
  } finally {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  }
});

test('no Retry-After results in a wait shorter than scheduled, endless or not a number', () => {
  fc.assert(
    fc.property(fc.string(), (retryAfter) => {
      const verdict = verdictOf(caseOf(429, { result: { kind: 'answered', status: 429, retryAfter, answer: '' } }));
      const waitMs = verdict.kind === 'retry' ? verdict.waitMs : Number.NaN;
      expect(waitMs).toBeGreaterThanOrEqual(1_000);
      expect(waitMs).toBeLessThanOrEqual(retryAfterMaxMs);
    }),
  );
});
