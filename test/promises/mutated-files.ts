// The files in which `npm run test:mutation` makes mistakes, and the tests that must notice each of them.
export interface MutatedFile {
  readonly file: string;
  /** In stages, the quick ones first: the next one runs only where the one before noticed nothing. */
  readonly tests: readonly (readonly string[])[];
  /** Mistakes that are none: what the line becomes, and why nothing else comes of it. */
  readonly harmless: Readonly<Record<string, string>>;
}

const ofCallbacks = ['test/callback/'];
const ofBreaker = [
  ['test/deliver/breaker-script.test.ts', 'test/deliver/breaker-limits.test.ts'],
  ['test/deliver/breaker.test.ts', 'test/deliver/breaker-fairness.test.ts'],
];
const ofAccepting = [
  ['test/store/accept-batch.test.ts'],
  ['test/store/taken-before.test.ts', 'test/ops/expected-amounts.test.ts', 'test/store/removed.test.ts'],
  ['test/store/claim-keeper.test.ts', 'test/intake/culprits.test.ts', 'test/store/brand-move.test.ts'],
];

export const mutatedFiles: readonly MutatedFile[] = [
  { file: 'src/callback/amount-check.ts', tests: [ofCallbacks], harmless: {} },
  { file: 'src/callback/confirmation.ts', tests: [ofCallbacks], harmless: {} },
  { file: 'src/callback/decimal.ts', tests: [ofCallbacks], harmless: {} },
  { file: 'src/callback/identity.ts', tests: [ofCallbacks], harmless: {} },
  {
    file: 'src/callback/job.ts',
    tests: [
      ofCallbacks,
      [
        'test/deliver/webhook-id.test.ts',
        'test/store/accept-batch.test.ts',
        'test/deliver/later-version.test.ts',
        'test/store/brand-move.test.ts',
      ],
    ],
    harmless: {},
  },
  { file: 'src/callback/json-text.ts', tests: [ofCallbacks], harmless: {} },
  { file: 'src/callback/parse-callback.ts', tests: [ofCallbacks], harmless: {} },
  { file: 'src/deliver/verdict.ts', tests: [['test/deliver/verdict.test.ts']], harmless: {} },
  { file: 'src/deliver/breaker/breaker.ts', tests: ofBreaker, harmless: {} },
  { file: 'src/deliver/breaker/breaker.lua', tests: ofBreaker, harmless: {} },
  { file: 'src/store/accept/accept.lua', tests: ofAccepting, harmless: {} },
  { file: 'src/store/accept/judge-claimed.lua', tests: ofAccepting, harmless: {} },
  { file: 'src/store/accept/gather-jobs.lua', tests: ofAccepting, harmless: {} },
  { file: 'src/store/accept/paid-otherwise.lua', tests: ofAccepting, harmless: {} },
];
