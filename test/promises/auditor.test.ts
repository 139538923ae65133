// Tests the auditor: it must detect each kind of broken promise.
import { expect, test } from 'vitest';
import { audit, violations, type Evidence } from './auditor.ts';

const nothing = {
  listedDelivered: new Set<string>(),
  queued: new Set<string>(),
  failed: new Set<string>(),
  spooled: new Set<string>(),
  quarantined: new Set<string>(),
  denied: new Set<string>(),
};

function evidence(changes: Partial<Evidence> = {}): Evidence {
  const answer = { reference: 'a', body: '{}', target: 'one', sentAtMs: 1_000, endedAtMs: 1_005, status: 200 };
  const got = { reference: 'a', webhookId: 'msg_a', body: '{}', taken: true };
  return {
    answers: [answer],
    got: [got],
    remaining: nothing,
    outages: [],
    truths: new Map(),
    destroyed: new Set(),
    answerWithinMs: 3_000,
    ...changes,
  };
}

const [answer] = evidence().answers;
const [got] = evidence().got;
if (answer === undefined || got === undefined) throw new Error('The evidence is empty.');

function evidenceOf(reference: string, body: string, ids: readonly string[]) {
  return ids.map((webhookId) => ({ reference, webhookId, body, taken: true }));
}

test('reports nothing if every promise was kept', () => {
  expect(violations(audit(evidence()))).toEqual([]);
});

test.each<[string, Partial<Evidence>, RegExp]>([
  [
    'a forged callback that was delivered',
    { answers: [{ ...answer, isForged: true }], remaining: { ...nothing, denied: new Set(['a']) } },
    /forged and delivered: a/,
  ],
  [
    'a forged callback that was not denied',
    { answers: [{ ...answer, isForged: true }], got: [] },
    /forged and not denied: a/,
  ],
  ['an acknowledged callback that is missing', { got: [] }, /1 acknowledged and lost: a/],
  ['one that the merchant refused and that is missing', { got: [{ ...got, taken: false }] }, /1 acknowledged and lost/],
  [
    'a callback that was given up',
    { got: [], remaining: { ...nothing, failed: new Set(['a']) } },
    /1 acknowledged and given up/,
  ],
  ['a callback under two ids', { got: [got, { ...got, webhookId: 'msg_b' }] }, /1 delivered under two webhook-ids/],
  [
    'a correction that was delivered twice',
    {
      got: [...evidenceOf('b', '{"x":1}', ['msg_b', 'msg_c'])],
      truths: new Map([['b', { bodies: ['{}', '{"x":1}'] }]]),
    },
    /1 delivered under two webhook-ids: b/,
  ],
  [
    'an id that carried two results',
    {
      got: [got, ...evidenceOf('b', '{}', ['msg_b']), ...evidenceOf('b', '{"x":1}', ['msg_b'])],
      truths: new Map([['b', { bodies: ['{}', '{"x":1}'] }]]),
    },
    /1 webhook-ids with two results: msg_b/,
  ],
  [
    'a transaction whose last state did not arrive',
    {
      got: [got, ...evidenceOf('b', '{}', ['msg_b'])],
      truths: new Map([['b', { bodies: ['{}', '{"x":1}'] }]]),
    },
    /1 known to the gateway and not found: b/,
  ],
  [
    'a callback that is listed as delivered and was not',
    { got: [], remaining: { ...nothing, queued: new Set(['a']), listedDelivered: new Set(['a']) } },
    /1 listed as delivered and never delivered: a/,
  ],
  ['a callback with another body', { got: [{ ...got, body: '{ }' }] }, /1 delivered with another body/],
  ['a late answer', { answers: [{ ...answer, endedAtMs: 4_001 }] }, /1 answered later/],
  [
    'an answer that is late even without the time when the sender was blocked',
    { answers: [{ ...answer, endedAtMs: 6_001, blindMs: 2_000 }] },
    /1 answered later/,
  ],
  ['a 503 while Redis and the spool worked', { answers: [{ ...answer, status: 503 }] }, /1 refused or not answered/],
  [
    'a 503 while only Redis was down',
    { answers: [{ ...answer, status: 503 }], outages: [{ part: 'redis', fromMs: 900, toMs: 1_100 }] },
    /1 refused or not answered/,
  ],
  ['no answer from a running receiver', { answers: [{ ...answer, status: null }] }, /1 refused or not answered/],
  ['another answer', { answers: [{ ...answer, status: 500 }] }, /1 refused or not answered/],
])('reports %s', (_what, changes, message) => {
  expect(violations(audit(evidence(changes))).join('\n')).toMatch(message);
});

test.each<[string, Partial<Evidence>]>([
  ['a callback in the queue', { got: [], remaining: { ...nothing, queued: new Set(['a']) } }],
  ['a callback in the spool', { got: [], remaining: { ...nothing, spooled: new Set(['a']) } }],
  ['a second delivery under the same id', { got: [got, got] }],
  [
    'an answer that arrived while the sender was blocked',
    { answers: [{ ...answer, endedAtMs: 6_001, blindMs: 4_000 }] },
  ],
  ['a callback that another program removed', { got: [], destroyed: new Set(['a']) }],
  [
    'a 503 while Redis and the disk were down',
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
