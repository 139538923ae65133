// The scripted outcomes: what happens to a transaction, chosen by its amount or its phone number as in payment sandboxes. One
// table serves the simulator, its help and its tests. An amount or number that is not listed succeeds.

/** The new state of a transaction. `percentPaid` other than 100 makes the final amount differ from the requested one. */
export interface Change {
  readonly status: string;
  readonly errorCode?: string | undefined;
  readonly percentPaid?: bigint | undefined;
}

/** One step of a script, after `after` callback delays: the record changes, and a callback reports it (or lies). */
export interface Step {
  readonly after: number;
  readonly become?: Change;
  /** From now on the gateway does not know the transaction. */
  readonly vanish?: true;
  /** What the callback says, if not the truth. */
  readonly say?: Change;
  readonly callback: 'none' | 'once' | 'twice' | 'lost';
}

export interface Outcome {
  /** The amount that selects it; a phone number selects it by ending in `0000` and this code. Null: the default. */
  readonly code: number | null;
  readonly name: string;
  readonly says: string;
  /** The callback is sent, and its answer awaited, before the merchant's call is answered. */
  readonly beforeAnswer?: true;
  readonly steps: readonly Step[];
}

const success: Change = { status: 'success' };
const failed = (errorCode: string): Change => ({ status: 'failed', errorCode });

const successful: Outcome = {
  code: null,
  name: 'success',
  says: 'succeeds, one callback (every amount that is not listed)',
  steps: [{ after: 1, become: success, callback: 'once' }],
};

/** The `errorMessage` of each failure code. The gateway's set is open; these are the ones that can be scripted. */
export const failureMessages: Readonly<Record<string, string>> = {
  user_insufficient_funds: 'The payer has insufficient funds.',
  user_limit_exceeded: 'The payer has reached a limit of the account.',
  user_cancelled: 'The payer declined the request.',
  user_timeout: 'The payer did not answer in time.',
  user_invalid_pin: 'The payer entered a wrong PIN.',
  user_not_found: 'The phone number has no mobile-money account.',
  provider_unavailable: 'The provider is not available.',
  provider_error: 'The provider reported an error.',
};

const failures = Object.keys(failureMessages).map((errorCode, index): Outcome => {
  const steps: Step[] = [{ after: 1, become: failed(errorCode), callback: 'once' }];
  return { code: 7001 + index, name: errorCode, says: `fails with ${errorCode}, one callback`, steps };
});

const special: readonly Outcome[] = [
  { code: 7101, name: 'never_completes', says: 'stays pending for ever, no callback', steps: [] },
  {
    code: 7102,
    name: 'callback_lost',
    says: 'succeeds, its callback is lost on the way',
    steps: [{ after: 1, become: success, callback: 'lost' }],
  },
  {
    code: 7103,
    name: 'callback_twice',
    says: 'succeeds, the same callback arrives twice at once',
    steps: [{ after: 1, become: success, callback: 'twice' }],
  },
  {
    code: 7104,
    name: 'callback_before_answer',
    says: 'succeeds, its callback arrives before the call that started it is answered',
    beforeAnswer: true,
    steps: [{ after: 0, become: success, callback: 'once' }],
  },
  {
    code: 7105,
    name: 'callback_late',
    says: 'succeeds, its callback comes ten times later than the success',
    steps: [
      { after: 1, become: success, callback: 'none' },
      { after: 10, callback: 'once' },
    ],
  },
  {
    code: 7106,
    name: 'pending_callback',
    says: 'sends a callback that says pending, then succeeds',
    steps: [
      { after: 1, callback: 'once' },
      { after: 1, become: success, callback: 'once' },
    ],
  },
  {
    code: 7201,
    name: 'contradiction_true',
    says: 'a callback says success, a later one says failed; the status endpoint says failed',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, become: failed('provider_error'), callback: 'once' },
    ],
  },
  {
    code: 7202,
    name: 'contradiction_false',
    says: 'a callback says success, a later one says failed; the status endpoint still says success',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, say: failed('provider_error'), callback: 'once' },
    ],
  },
  {
    code: 7203,
    name: 'corrected_silently',
    says: 'a callback says success, then the transaction becomes failed without a callback',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, become: failed('provider_error'), callback: 'none' },
    ],
  },
  {
    code: 7204,
    name: 'amount_corrected',
    says: 'a callback says success, a later one says that half of the amount was paid',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, become: { status: 'success', percentPaid: 50n }, callback: 'once' },
    ],
  },
  {
    code: 7205,
    name: 'partial_payment',
    says: 'succeeds with half of the requested amount, one callback',
    steps: [{ after: 1, become: { status: 'success', percentPaid: 50n }, callback: 'once' }],
  },
  {
    code: 7206,
    name: 'reversed',
    says: 'succeeds, then is reversed, with a callback for each',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, become: { status: 'reversed' }, callback: 'once' },
    ],
  },
  {
    code: 7207,
    name: 'unknown_status',
    says: 'a callback says in_review, a status that nobody documented, then it succeeds',
    steps: [
      { after: 1, become: { status: 'in_review' }, callback: 'once' },
      { after: 1, become: success, callback: 'once' },
    ],
  },
  {
    code: 7208,
    name: 'reversed_silently',
    says: 'succeeds, then is reversed, and the callback of the reversal is lost',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, become: { status: 'reversed' }, callback: 'lost' },
    ],
  },
  {
    code: 7209,
    name: 'denied',
    says: 'a callback says success, then the gateway does not know the transaction',
    steps: [
      { after: 1, become: success, callback: 'once' },
      { after: 1, vanish: true, callback: 'none' },
    ],
  },
];

/** Every scripted outcome, the default first. */
export const outcomes: readonly Outcome[] = [successful, ...failures, ...special];

/** The outcome for an amount (decimal text) and a phone number; the amount decides first. */
export function chooseOutcome(amount: string, msisdn: string): Outcome {
  const digits = msisdn.replaceAll(/\D/g, '');
  const selects = ({ code }: Outcome, test: (code: number) => boolean): boolean => code !== null && test(code);
  return (
    outcomes.find((outcome) => selects(outcome, (code) => new RegExp(`^${code}(?:\\.0*)?$`).test(amount))) ??
    outcomes.find((outcome) => selects(outcome, (code) => digits.endsWith(`0000${code}`))) ??
    successful
  );
}

/** The phone number that selects an outcome, as shown in the help. */
export function msisdnOf(code: number): string {
  return `+25470000${code}`;
}

/** The table in the command line's help. */
export const outcomesHelp = [
  'The amount or the phone number selects what happens to a transaction:',
  '',
  '  amount     phone number    what happens',
  ...outcomes.map(({ code, says }) =>
    code === null ? `  any other  any other       ${says}` : `  ${code}.00    ${msisdnOf(code)}   ${says}`,
  ),
].join('\n');
