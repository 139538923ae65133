// The ledger's row contains all of the auditor's findings under the right headings.
import { expect, test } from 'vitest';
import { audit, type Evidence } from './auditor.ts';
import { ledgerHead, ledgerRow, serverName } from './ledger.ts';

const answer = { reference: 'kept', body: '{}', target: 'one', sentAtMs: 1_000, endedAtMs: 1_005, status: 200 };
const got = { reference: 'kept', webhookId: 'msg_kept', body: '{}', taken: true };
const evidence: Evidence = {
  answers: [
    answer,
    { ...answer, reference: 'lost' },
    { ...answer, reference: 'destroyed' },
    { ...answer, reference: 'late', endedAtMs: 9_000 },
    { ...answer, reference: 'refused', status: 503 },
    { ...answer, reference: 'forged', isForged: true },
  ],
  got: [
    got,
    { ...got, webhookId: 'msg_again' },
    { ...got, reference: 'late', webhookId: 'msg_late' },
    { ...got, reference: 'forged', webhookId: 'msg_forged' },
    { ...got, reference: 'found', webhookId: 'msg_found' },
  ],
  remaining: {
    listedDelivered: new Set(),
    queued: new Set(),
    failed: new Set(),
    spooled: new Set(),
    quarantined: new Set(),
    denied: new Set(['forged']),
  },
  outages: [],
  truths: new Map([
    ['found', { bodies: ['{}'] }],
    ['not-found', { bodies: ['{}'] }],
  ]),
  destroyed: new Set(['destroyed']),
  forgedMayPass: true,
  answerWithinMs: 3_000,
};

const run = {
  day: '2026-11-27',
  commit: 'abc1234',
  server: 'Redis 7.0.15',
  confirm: 'after',
  replica: true,
  seed: 7,
  minutes: 8,
  perSecond: 100,
  faults: 1_234,
  report: audit(evidence),
} as const;

function cells(line: string): string[] {
  return line.split('|').map((cell) => cell.trim());
}

test('a row of the ledger names the options of the run and everything that went wrong', () => {
  const [head = ''] = ledgerHead.split('\n');
  const values = cells(ledgerRow(run));
  const named = Object.fromEntries(cells(head).map((name, index) => [name, values[index]]));
  expect(named).toEqual({
    '': '',
    date: '2026-11-27',
    commit: '`abc1234`',
    server: 'Redis 7.0.15',
    mode: 'after, replica',
    seed: '7',
    minutes: '8',
    rate: '100',
    faults: '1,234',
    callbacks: '6',
    'answered 200': '5',
    lost: '1',
    doubled: '1',
    late: '1',
    'else wrong': '1',
    destroyed: '1',
    'forged, of these delivered': '1, 1',
    'never sent, of these found': '2, 1',
  });
});

test('a row shows a run that causes each fault once, without confirmation or forgery', () => {
  const answers = evidence.answers.filter(({ reference }) => reference !== 'forged');
  const row = ledgerRow({
    ...run,
    confirm: undefined,
    replica: false,
    minutes: undefined,
    report: audit({ ...evidence, answers }),
  });
  expect(row).toContain('| Redis 7.0.15 | off | 7 | each once | 100 |');
  expect(row).toContain('| - | 2, 1 |');
});

test('Valkey is named with its own version, not with the one of Redis that it claims', () => {
  expect(serverName('# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n')).toBe(
    'Valkey 9.1.2',
  );
  expect(serverName('# Server\r\nredis_version:7.0.15\r\n')).toBe('Redis 7.0.15');
});
