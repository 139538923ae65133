// The auditor is shown each kind of broken promise once, before anybody trusts its silence.
import { expect, test } from 'vitest';
import { audit, violations, type Evidence } from './auditor.ts';

const nothing = {
  queued: new Set<string>(),
  failed: new Set<string>(),
  spooled: new Set<string>(),
  quarantined: new Set<string>(),
};

function evidence(changes: Partial<Evidence> = {}): Evidence {
  const answer = { reference: 'a', body: '{}', target: 'one', sentAtMs: 1_000, endedAtMs: 1_005, status: 200 };
  const got = { reference: 'a', webhookId: 'msg_a', body: '{}', taken: true };
  return { answers: [answer], got: [got], remaining: nothing, outages: [], answerWithinMs: 3_000, ...changes };
}

const [answer] = evidence().answers;
const [got] = evidence().got;
if (answer === undefined || got === undefined) throw new Error('the evidence is empty');

test('is silent where every promise was kept', () => {
  expect(violations(audit(evidence()))).toEqual([]);
});

test.each<[string, Partial<Evidence>, RegExp]>([
  ['an acknowledged callback that is nowhere', { got: [] }, /1 acknowledged and lost: a/],
  ['one that the merchant refused and that is nowhere', { got: [{ ...got, taken: false }] }, /1 acknowledged and lost/],
  [
    'one that was given up',
    { got: [], remaining: { ...nothing, failed: new Set(['a']) } },
    /1 acknowledged and given up/,
  ],
  ['one under two ids', { got: [got, { ...got, webhookId: 'msg_b' }] }, /1 delivered under two webhook-ids/],
  ['one with another body', { got: [{ ...got, body: '{ }' }] }, /1 delivered with another body/],
  ['an answer that came late', { answers: [{ ...answer, endedAtMs: 4_001 }] }, /1 answered later/],
  ['a 503 while both worked', { answers: [{ ...answer, status: 503 }] }, /1 refused or not answered/],
  [
    'a 503 while only Redis was out',
    { answers: [{ ...answer, status: 503 }], outages: [{ part: 'redis', fromMs: 900, toMs: 1_100 }] },
    /1 refused or not answered/,
  ],
  ['no answer from a receiver that lived', { answers: [{ ...answer, status: null }] }, /1 refused or not answered/],
  ['another answer', { answers: [{ ...answer, status: 500 }] }, /1 refused or not answered/],
])('reports %s', (_what, changes, message) => {
  expect(violations(audit(evidence(changes))).join('\n')).toMatch(message);
});

test.each<[string, Partial<Evidence>]>([
  ['what waits in the queue', { got: [], remaining: { ...nothing, queued: new Set(['a']) } }],
  ['what lies in the spool', { got: [], remaining: { ...nothing, spooled: new Set(['a']) } }],
  ['a second delivery under the same id', { got: [got, got] }],
  [
    'a 503 while Redis and the disk were out',
    {
      answers: [{ ...answer, status: 503 }],
      got: [],
      outages: ['redis', 'disk'].map((part) => ({ part, fromMs: 900, toMs: 1_100 })),
    },
  ],
  [
    'no answer from a receiver that was killed',
    { answers: [{ ...answer, status: null }], got: [], outages: [{ part: 'one', fromMs: 900, toMs: 1_100 }] },
  ],
])('allows %s', (_what, changes) => {
  expect(violations(audit(evidence(changes)))).toEqual([]);
});
