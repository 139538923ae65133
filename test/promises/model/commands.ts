// Random commands: each applies one event to the product and to the model and compares the results. After each, the
// product's view of every callback is compared as well.
//
// To add a kind of event, write a function that returns an `Event`, a line in `anyCommand`, and its effect in
// expected.ts.
import { UnrecoverableError } from 'bullmq';
import fc from 'fast-check';
import assert from 'node:assert/strict';
import { isTerminal, terminalKind } from '../../../src/callback/identity.ts';
import type { AttemptResult, Delivery } from '../../../src/deliver/attempt.ts';
import type { AcceptItem } from '../../../src/store/accept/accept-batch.ts';
import { agrees, replacedBy } from '../../../src/store/accept/claims.ts';
import { settleConfirmation } from '../../../src/store/confirmation/settle-confirmation.ts';
import { findClaims } from '../../../src/store/callbacks/find-claims.ts';
import { erase } from '../../../src/store/lifecycle/erase.ts';
import { replay } from '../../../src/store/lifecycle/replay.ts';
import { callbackOf } from '../../support/callbacks.ts';
import { compare, forget } from './compare.ts';
import {
  confirm,
  isDue,
  isSettled,
  jobsOf,
  keyOf,
  retryAfterMs,
  settle,
  take,
  textOf,
  type Arrival,
  type Expected,
  type ExpectedJob,
  type Result,
} from './expected.ts';
import { bodyOf, times, type Real, type RedisMode } from './real.ts';

type Event = (expected: Expected, real: Real) => Promise<void>;
export type ModelCommand = fc.AsyncCommand<Expected, Real>;

function command(name: string, event: Event): ModelCommand {
  return {
    check: () => true,
    async run(expected, real) {
      real.clock.pass(1);
      await event(expected, real);
      await forget(expected, real);
      await compare(expected, real);
    },
    toString: () => name,
  };
}

/** The gateway sends a callback, possibly several copies at once. */
function callBack(reference: string, results: readonly Result[], mode: RedisMode): ModelCommand {
  const name = `${results.map(textOf).join(' and ')} comes for ${reference}${whileRedis(mode)}`;
  return command(name, async (expected, real) => {
    const arrivals = results.map((result) => ({ reference, result, receivedAtMs: real.clock.now() }));
    await handIn(expected, real, { arrivals, mode }, async () =>
      Promise.all(results.map(async (result) => (await real.accept(reference, result)).kind)),
    );
  });
}

/** Reconciliation reads the gateway's state, and injects what is missing here or differs. */
function reconcile(reference: string, truth: Result, mode: RedisMode): ModelCommand {
  const name = `the gateway says that ${reference} is ${textOf(truth)}${whileRedis(mode)}`;
  return command(name, (expected, real) => reconcileOne(expected, real, { reference, truth, mode }));
}

interface Truth {
  readonly reference: string;
  readonly truth: Result;
  readonly mode: RedisMode;
}

async function reconcileOne(expected: Expected, real: Real, { reference, truth, mode }: Truth): Promise<void> {
  const [claim] = await findClaims(real.redis, real.queue, [{ gatewayReference: reference, kind: terminalKind }]);
  const { finalAmount } = callbackOf({ reference, ...truth });
  const standing = expected.claims.get(keyOf(reference, truth))?.jobs[0];
  assert.equal(claim?.sequence, standing?.sequence);
  if (claim !== undefined && agrees(claim, truth.status, finalAmount)) return;
  const arrivals = [{ reference, result: truth, receivedAtMs: real.clock.now(), baseState: standing, isFound: true }];
  const replaces = claim === undefined ? undefined : replacedBy(claim);
  await handIn(expected, real, { arrivals, mode }, async () => [
    (await real.accept(reference, truth, replaces, 'records')).kind,
  ]);
}

interface HandingIn {
  readonly arrivals: readonly Arrival[];
  readonly mode: RedisMode;
}

/** An outcome from Redis must match the model; one from the spool needs a reason. */
async function handIn(
  expected: Expected,
  real: Real,
  { arrivals, mode }: HandingIn,
  accept: () => Promise<readonly string[]>,
): Promise<void> {
  const mayBeAsked = real.intake.isRedisUp();
  real.store.setMode(mode);
  const outcomes = await accept();
  const unheard = real.store.unheard();
  real.store.setMode('up');
  const nowMs = real.clock.now();
  const spooled = arrivals.filter((_, at) => outcomes[at] === 'spooled');
  for (const item of unheard) noteTaken(expected, pickOut(spooled, item), nowMs);
  for (const [at, arrival] of arrivals.entries()) {
    if (outcomes[at] !== 'spooled') assert.equal(outcomes[at], noteTaken(expected, arrival, nowMs));
  }
  if (spooled.length > 0) assert.ok(mode !== 'up' || !mayBeAsked, 'went to the spool although Redis takes callbacks');
  expected.spool.push(...spooled);
}

function noteTaken(expected: Expected, arrival: Arrival, nowMs: number): string {
  const outcome = take(expected, arrival, nowMs);
  if (outcome === 'conflict' && arrival.receivedAtMs === nowMs) arrival.takenBy?.conflicts.add(textOf(arrival.result));
  return outcome;
}

/** The order in which concurrent callbacks were stored is unknown, and equal ones cannot be distinguished. */
function pickOut(from: Arrival[], { callback, receivedAtMs, nonce }: AcceptItem): Arrival {
  const amount = callback.finalAmount?.value ?? '';
  const text = `${callback.gatewayReference} ${textOf({ status: callback.status ?? '', amount })} ${receivedAtMs}`;
  const isLike = (one: Arrival) =>
    one.nonce === undefined && `${one.reference} ${textOf(one.result)} ${one.receivedAtMs}` === text;
  const found = from.find((one) => one.nonce === nonce) ?? from.find(isLike);
  assert.ok(found !== undefined, `nobody knows ${text}`);
  found.nonce = nonce;
  return found;
}

function noteDrained(expected: Expected, items: readonly AcceptItem[], nowMs: number): void {
  for (const item of items) noteTaken(expected, pickOut(expected.spool, item), nowMs);
}

const drain = command('the spool is drained', async (expected, real) => {
  const spooled = await real.spooled(10_000);
  assert.equal(await real.drain(), 0, 'is left in the spool');
  noteDrained(
    expected,
    spooled.map(({ item }) => item),
    real.clock.now(),
  );
  assert.equal(spooled.length, expected.spool.length);
  expected.spool = [];
});

/** Redis has accepted some entries, and the process dies before it deletes them from the spool. */
function breakOffDrain(count: number): ModelCommand {
  return command(`a process dies when it has drained ${count}`, async (expected, real) => {
    const spooled = await real.spooled(count);
    assert.equal(await real.intake.resubmit(spooled.map(({ entry }) => entry)), 'stored');
    noteDrained(
      expected,
      spooled.map(({ item }) => item),
      real.clock.now(),
    );
  });
}

type Answer = 'accepts it' | 'fails' | 'refuses it for good' | 'accepts it, and the worker dies';

interface Attempt {
  readonly answer: Answer;
  /** A callback for the same transaction arrives during the delivery. */
  readonly meanwhile?: Result | undefined;
}

/** The worker takes the next job, and the merchant answers. */
function deliver(attempt: Attempt): ModelCommand {
  const { answer, meanwhile } = attempt;
  const name = `the merchant ${answer}${meanwhile === undefined ? '' : `; meanwhile it is ${textOf(meanwhile)}`}`;
  return command(name, async (expected, real) => void (await deliverNext(expected, real, attempt)));
}

/** False if there was nothing to deliver. */
export async function deliverNext(expected: Expected, real: Real, { answer, meanwhile }: Attempt): Promise<boolean> {
  const due = jobsOf(expected).filter((job) => isDue(job, real.clock.now()));
  const job = await real.worker.getNextJob('token', { block: false });
  assert.equal(job !== undefined, due.length > 0, `jobs that wait: ${due.length}`);
  if (job === undefined) return false;
  for (const one of due) Object.assign(one, { state: 'queued', isAwaiting: false }); // due jobs are in the wait list from now on
  let handed: ExpectedJob | undefined;
  let broken: Error | undefined;
  const { process, record } = real.processorOf(async (delivery) => {
    try {
      handed = expectedOf(expected, delivery, real.clock.now());
      handed.state = 'delivering';
      if (meanwhile !== undefined && isTerminal(handed.result.status)) {
        const reference = delivery.job.gatewayReference;
        await reconcileOne(expected, real, { reference, truth: meanwhile, mode: 'up' });
      }
    } catch (error) {
      broken = error instanceof Error ? error : new Error(String(error)); // the processor treats an attempt's error as an outage
    }
    return answers[answer];
  });
  try {
    const returned = await process(job, 'token');
    if (answer === 'accepts it, and the worker dies')
      await job.moveToWait('token'); // as if its lock had expired
    else {
      await job.moveToCompleted(returned, 'token', false);
      await record();
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error instanceof UnrecoverableError) await job.moveToFailed(error, 'token', false);
    else if (error.name !== 'WaitingError') throw error;
  }
  if (broken !== undefined) throw broken;
  if (handed !== undefined) noteAnswer(handed, answer, real.clock.now());
  else noteUntried(due, answer, real.clock.now());
  return true;
}

const answers: Readonly<Record<Answer, AttemptResult>> = {
  'accepts it': { kind: 'answered', status: 200, retryAfter: undefined, answer: '' },
  fails: { kind: 'answered', status: 500, retryAfter: undefined, answer: 'M-Pesa 254700000000' },
  'refuses it for good': { kind: 'permanent', error: 'no' },
  'accepts it, and the worker dies': { kind: 'answered', status: 200, retryAfter: undefined, answer: '' },
};

/** The delivered callback must be due and unchanged, and its id never used for another result. */
function expectedOf({ claims, resultOf }: Expected, delivery: Delivery, nowMs: number): ExpectedJob {
  const { job, webhookId, sequence } = delivery;
  const { gatewayReference, body } = job;
  const result = { status: job.status ?? '', amount: (job.finalAmount ?? '').split(' ')[0] ?? '' };
  const found = claims.get(keyOf(gatewayReference, result))?.jobs.find((one) => one.sequence === sequence);
  assert.ok(found !== undefined, `${gatewayReference} is delivered, and nobody knows it`);
  assert.ok(isDue(found, nowMs) && !found.isReplaced, `${gatewayReference} is delivered while it is ${found.state}`);
  assert.equal(textOf(result), textOf(found.result));
  assert.equal(body, bodyOf(gatewayReference, result));
  const text = `${gatewayReference} ${textOf(result)}`;
  assert.equal(resultOf.get(webhookId) ?? text, text, `${webhookId} carries two results`);
  resultOf.set(webhookId, text);
  return found;
}

function noteAnswer(job: ExpectedJob, answer: Answer, nowMs: number): void {
  switch (answer) {
    case 'accepts it':
      return settle(job, 'delivered', nowMs);
    case 'accepts it, and the worker dies':
      job.state = 'queued';
      return;
    case 'refuses it for good':
      return settle(job, job.isReplaced ? 'superseded' : 'failed', nowMs);
    case 'fails': {
      const waitMs = retryAfterMs[job.attempts];
      if (job.isReplaced) return settle(job, 'superseded', nowMs);
      if (waitMs === undefined) return settle(job, 'failed', nowMs);
      job.state = 'retrying';
      job.dueAtMs = nowMs + waitMs;
      job.attempts += 1;
    }
  }
}

/** No attempt was made: the job was replaced while a worker that died held it. */
function noteUntried(due: readonly ExpectedJob[], answer: Answer, nowMs: number): void {
  const replaced = due.find((job) => job.isReplaced);
  assert.ok(replaced !== undefined, 'a job was taken and not tried');
  if (answer !== 'accepts it, and the worker dies') settle(replaced, 'superseded', nowMs);
}

function replayOne(reference: string): ModelCommand {
  return command(`${reference} is replayed`, async (expected, real) => {
    const [claim] = await findClaims(real.redis, real.queue, [{ gatewayReference: reference, kind: terminalKind }]);
    if (claim === undefined) return;
    const { kind } = await replay(real.redis, real.queue, claim.jobId);
    const job = expected.claims.get(keyOf(reference, { status: 'success', amount: '' }))?.jobs[0];
    assert.ok(job !== undefined);
    const gone = job.isErased || job.isRetired ? 'gone' : 'replayed';
    assert.equal(kind, job.state === 'queued' && !job.isAwaiting ? 'in-progress' : gone);
    if (kind === 'replayed') Object.assign(job, { state: 'queued', isAwaiting: false, attempts: 0 });
  });
}

/** A status call or a list confirms a callback or not. Results from the gateway need no confirmation. */
function answer(reference: string, isTrue: boolean): ModelCommand {
  return command(`the gateway ${isTrue ? 'confirms' : 'denies'} ${reference}`, async (expected, real) => {
    const [claim] = await findClaims(real.redis, real.queue, [{ gatewayReference: reference, kind: terminalKind }]);
    const known = expected.claims.get(keyOf(reference, { status: 'success', amount: '' }));
    assert.equal(claim === undefined, known === undefined);
    if (claim === undefined || known === undefined) return;
    const isYes = isTrue || claim.sequence > 0;
    const callback = { gatewayReference: reference, kind: terminalKind, jobId: claim.jobId };
    const word = isYes ? ({ answer: 'yes' } as const) : ({ answer: 'no', reason: 'denied' } as const);
    await settleConfirmation(real.redis, real.queue, [callback], word);
    confirm(known, isYes, real.clock.now());
  });
}

function eraseOne(reference: string): ModelCommand {
  return command(`${reference} is erased`, async (expected, real) => {
    const jobs = jobsOf(expected, reference).filter((job) => !job.isRetired);
    if (jobs.some(({ state }) => state === 'held')) return; // it behaves as if removed: see confirmation.test.ts
    const { kind } = await erase(real.redis, real.queue, reference);
    if (![...expected.claims.values()].some((claim) => claim.reference === reference)) {
      assert.notEqual(kind, 'in-progress');
      return;
    }
    assert.equal(kind, jobs.every(isSettled) ? 'erased' : 'in-progress');
    if (kind === 'erased') for (const job of jobs) job.isErased = true;
  });
}

const retain = command('retention runs', async (expected, real) => {
  await real.retain();
  for (const job of jobsOf(expected).filter(isSettled)) {
    const keptMs = job.state === 'failed' || job.state === 'held' ? times.RETAIN_FAILED : times.RETAIN_COMPLETED;
    if (job.settledAtMs <= real.clock.now() - keptMs) job.isRetired = true;
  }
});

function pass(hours: number): ModelCommand {
  return command(`${hours} h pass`, async (_, real) => {
    for (let hour = 0; hour < hours; hour += 1) await real.passHour();
  });
}

function whileRedis(mode: RedisMode): string {
  if (mode === 'up') return '';
  return mode === 'out' ? ' while Redis is out' : ", and Redis's answer is lost";
}

const anyReference = fc.constantFrom('ref-a', 'ref-b');
const anyAmount = fc.constantFrom('100', '5');
const anyEnded = fc.record({ status: fc.constantFrom('success', 'failed'), amount: anyAmount });
const anyResult = fc.oneof(
  { weight: 4, arbitrary: anyEnded },
  { weight: 1, arbitrary: fc.record({ status: fc.constant('reversed'), amount: anyAmount }) },
);
const anyMode = fc.constantFrom<RedisMode[]>('up', 'up', 'up', 'out', 'unheard');
const anyAnswer = fc.constantFrom<Answer[]>(
  'accepts it',
  'accepts it',
  'fails',
  'refuses it for good',
  'accepts it, and the worker dies',
);
const sometimes = { freq: 4, nil: undefined };

const together = fc.array(anyResult, { minLength: 1, maxLength: 3 });

export const anyCommand = [
  fc.tuple(anyReference, together, anyMode).map(([reference, results, mode]) => callBack(reference, results, mode)),
  fc.tuple(anyReference, anyEnded, anyMode).map(([reference, truth, mode]) => reconcile(reference, truth, mode)),
  fc.record({ answer: anyAnswer, meanwhile: fc.option(anyEnded, sometimes) }).map(deliver),
  fc.constant({ answer: 'accepts it' } as const).map(deliver),
  fc.constant(drain),
  fc.integer({ min: 1, max: 3 }).map(breakOffDrain),
  anyReference.map(replayOne),
  anyReference.map(eraseOne),
  fc.tuple(anyReference, fc.boolean()).map(([reference, isTrue]) => answer(reference, isTrue)),
  fc.constant(retain),
  fc.constantFrom(1, 4, 9).map(pass),
];

/** Everything is delivered in the end: the spool is drained, the merchant accepts everything, time passes. */
export const settleAll = command('all is delivered in the end', async (expected, real) => {
  await drain.run(expected, real);
  while (jobsOf(expected).some((job) => !isSettled(job))) {
    while (await deliverNext(expected, real, { answer: 'accepts it' }));
    await real.passHour();
  }
});
