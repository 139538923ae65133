// Bugs that each break one promise, and the tests that must catch them. `npm run test:planted` plants them.
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly from: string;
  readonly to: string;
  readonly tests: readonly string[];
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'an acknowledgement before the fsync',
    file: 'src/intake/spool/spool-store.ts',
    from: 'PRAGMA synchronous = FULL',
    to: 'PRAGMA synchronous = NORMAL',
    tests: ['test/promises/power-loss.test.ts'],
  },
  {
    name: 'a claim without a job',
    file: 'src/store/accept/accept.lua',
    from: '  releaseFrom(#added + 1) -- from the callback that failed\n',
    to: '',
    tests: ['test/intake/culprits.test.ts', 'test/store/accept-batch.test.ts'],
  },
  {
    name: 'a drain that deletes first',
    file: 'src/intake/drain.ts',
    from: '    const { jobs, later, unreadable } = sortOut(batch.entries);\n    const { outcome, refused, tried }',
    to: '    const { jobs, later, unreadable } = sortOut(batch.entries);\n    await spool.remove(queue, batch);\n    const { outcome, refused, tried }',
    tests: ['test/intake/drain.test.ts'],
  },
  {
    name: 'a nonce that is not carried',
    file: 'src/intake/intake.ts',
    from: 'return { callback, source, receivedAtMs: Date.parse(receivedAt), nonce, data, replaces };',
    to: 'return { callback, source, receivedAtMs: Date.parse(receivedAt), nonce: createNonce(), data, replaces };',
    tests: ['test/promises/model.test.ts'],
  },
  {
    name: 'a breaker that counts',
    file: 'src/deliver/process-job.ts',
    from: "return verdict.kind === 'counted' ? undefined : verdict;",
    to: 'return undefined;',
    tests: ['test/deliver/breaker.test.ts'],
  },
  {
    name: 'a confirmation that says yes',
    file: 'src/reconcile/lookup/confirmation-look-ups.ts',
    from: "await settle(scope, one, { answer: 'no', reason: 'denied' }, context);",
    to: "await settle(scope, one, { answer: 'yes' }, context);",
    tests: ['test/reconcile/confirmation.test.ts'],
  },
  {
    name: 'a reconciliation that believes what is here',
    file: 'src/reconcile/sweep/classify.ts',
    from: "if (claim !== undefined && !agrees(claim, status, finalAmount)) return 'differs';",
    to: '',
    tests: ['test/reconcile/sweep-window.test.ts'],
  },
  {
    name: 'a correction under the id of what it corrects',
    file: 'src/callback/identity.ts',
    from: 'const input = inputOf([...parts, String(sequence)]);',
    to: 'const input = inputOf([...parts.slice(0, 4), String(0 * sequence)]);',
    tests: ['test/promises/model.test.ts', 'test/deliver/webhook-id.test.ts'],
  },
  {
    name: 'a claim that expires before its job',
    file: 'src/store/lifecycle/keep-claims.lua',
    from: '    live(claimKey, claimTtl)\n',
    to: '',
    tests: ['test/promises/model.test.ts', 'test/store/claim-keeper.test.ts'],
  },
];
