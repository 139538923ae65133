// The model: the whole product as a table of claims, their jobs and a spool, without Redis or a network.
//
// A claim records one identity. Its jobs are what the merchant gets or got, latest first: a correction comes before the
// job that it corrects.
import { isTerminal } from '../../../src/callback/identity.ts';

export interface Result {
  readonly status: string;
  readonly amount: string;
}

/** One incoming callback, or one correction from the gateway. */
export interface Arrival {
  readonly reference: string;
  readonly result: Result;
  readonly receivedAtMs: number;
  /** Found by reconciliation: not counted as a duplicate. */
  readonly isFound?: boolean;
  /** For a correction: the state on which it is based. */
  readonly baseState?: { readonly sequence: number; readonly result: Result } | undefined;
  /** Known as soon as it was seen in the spool. */
  nonce?: string;
  /** Redis has applied it, but the reply was lost: a second try must do nothing. */
  takenBy?: Claim | undefined;
}

export type State = 'queued' | 'delivering' | 'retrying' | 'delivered' | 'failed' | 'superseded' | 'held';

export interface ExpectedJob {
  readonly result: Result;
  readonly sequence: number;
  state: State;
  attempts: number;
  /** The time of the next attempt, if it is being retried or awaits confirmation. */
  dueAtMs: number;
  confirmed: 'yes' | 'no' | 'denied';
  /** No worker gets it before `dueAtMs` unless the gateway confirms it. */
  isAwaiting: boolean;
  settledAtMs: number;
  /** A correction arrived during its delivery: no further attempt. */
  isReplaced: boolean;
  isErased: boolean;
  isRetired: boolean;
}

export interface Claim {
  readonly reference: string;
  readonly jobs: ExpectedJob[];
  readonly conflicts: Set<string>;
  /** The results that a correction replaced, each with the time until which an equal callback counts as earlier. */
  readonly replacedAtMs: Map<string, number>;
  /** How often the gateway sent it again or contradicted it. */
  duplicates: number;
  sinceMs: number;
  /** The gateway has not been asked about it since its callback. */
  isUnconfirmed: boolean;
}

export type Outcome = 'queued' | 'duplicate' | 'conflict' | 'overtaken';

export interface Expected {
  readonly claims: Map<string, Claim>;
  spool: Arrival[];
  /** The result for which each webhook-id was used; never dropped. */
  readonly resultOf: Map<string, string>;
}

export const retryAfterMs = [1_800_000, 7_200_000];
/** CONFIRM_WAIT */
export const confirmWaitMs = 10_800_000;

export function expectNothing(): Expected {
  return { claims: new Map(), spool: [], resultOf: new Map() };
}

export function keyOf(reference: string, { status }: Result): string {
  return `${reference} ${isTerminal(status) ? 'ended' : status}`;
}

export function textOf({ status, amount }: Result): string {
  return `${status}|${amount}`;
}

/** Applies one arrival, as intake does. */
export function take({ claims }: Expected, arrival: Arrival, nowMs: number): Outcome {
  const { reference, result, baseState, receivedAtMs } = arrival;
  const known = claims.get(keyOf(reference, result));
  const standing = known?.jobs[0];
  if (known === undefined || standing === undefined) {
    const isUnconfirmed = baseState === undefined && arrival.isFound !== true;
    const jobs = [jobOf(result, baseState === undefined ? 0 : baseState.sequence + 1)];
    if (isUnconfirmed)
      Object.assign(jobs[0] ?? {}, { confirmed: 'no', isAwaiting: true, dueAtMs: nowMs + confirmWaitMs });
    const fresh = { conflicts: new Set<string>(), replacedAtMs: new Map<string, number>(), duplicates: 0 };
    arrival.takenBy = { reference, jobs, sinceMs: receivedAtMs, isUnconfirmed, ...fresh };
    claims.set(keyOf(reference, result), arrival.takenBy);
    return 'queued';
  }
  if (arrival.takenBy === known) return 'queued';
  arrival.takenBy = known;
  const isSame = textOf(standing.result) === textOf(result);
  if (baseState === undefined) {
    if (cameBefore(known, arrival, isSame)) return 'duplicate';
    if (arrival.isFound !== true) known.duplicates += 1;
    return isSame ? 'duplicate' : 'conflict';
  }
  if (isSame && standing.sequence >= baseState.sequence) return 'duplicate';
  const isCurrent = standing.sequence === baseState.sequence && textOf(standing.result) === textOf(baseState.result);
  const isLater = standing.sequence > baseState.sequence || known.sinceMs > receivedAtMs;
  if (!isSame && !isCurrent && isLater) return 'overtaken';
  endReplaced(standing, nowMs);
  known.replacedAtMs.set(textOf(standing.result), receivedAtMs);
  known.jobs.unshift(jobOf(result, baseState.sequence + 1));
  known.sinceMs = receivedAtMs;
  return 'queued';
}

/** A callback that was in the spool when a correction overtook it is not a duplicate. */
function cameBefore({ jobs, sinceMs, replacedAtMs }: Claim, arrival: Arrival, isSame: boolean): boolean {
  const untilMs = isSame ? (jobs[0]?.sequence ?? 0) > 0 && sinceMs : replacedAtMs.get(textOf(arrival.result));
  return typeof untilMs === 'number' && arrival.receivedAtMs <= untilMs;
}

function jobOf(result: Result, sequence: number): ExpectedJob {
  const fresh = { attempts: 0, dueAtMs: 0, settledAtMs: 0, isReplaced: false, isErased: false, isRetired: false };
  return { result, sequence, state: 'queued', confirmed: 'yes', isAwaiting: false, ...fresh };
}

/** The gateway confirms or denies the callback. An untried job is held if denied, and released if confirmed. */
export function confirm(claim: Claim, isTrue: boolean, nowMs: number): void {
  const [job] = claim.jobs;
  const isNews = claim.isUnconfirmed || (isTrue && job?.confirmed === 'denied');
  claim.isUnconfirmed = false;
  if (job === undefined || job.isRetired || !isNews) return;
  job.confirmed = isTrue ? 'yes' : 'denied';
  if (isTrue && job.state === 'held') job.state = 'queued';
  if (!isTrue && job.isAwaiting) settle(job, 'held', nowMs);
  job.isAwaiting = false;
}

function endReplaced(job: ExpectedJob, nowMs: number): void {
  if (job.isRetired || job.state === 'delivered' || job.state === 'superseded') return;
  job.isReplaced = true;
  if (job.state !== 'delivering') settle(job, 'superseded', nowMs);
}

export function settle(job: ExpectedJob, state: 'delivered' | 'failed' | 'superseded' | 'held', nowMs: number): void {
  job.state = state;
  job.isAwaiting = false;
  job.settledAtMs = nowMs;
}

export function jobsOf({ claims }: Expected, reference?: string): ExpectedJob[] {
  return [...claims.values()]
    .filter((claim) => reference === undefined || claim.reference === reference)
    .flatMap(({ jobs }) => jobs);
}

/** Nothing more happens to it automatically. */
export function isSettled({ state }: ExpectedJob): boolean {
  return state === 'delivered' || state === 'failed' || state === 'superseded' || state === 'held';
}

/** Whether a worker may get it now. */
export function isDue({ state, isAwaiting, dueAtMs }: ExpectedJob, nowMs: number): boolean {
  const waits = state === 'retrying' || (state === 'queued' && isAwaiting);
  return waits ? dueAtMs <= nowMs : state === 'queued';
}

/** After DEDUP_TTL, only claims of kept jobs are promised. */
export function mayBeForgotten({ jobs, sinceMs }: Claim, nowMs: number, dedupTtlMs: number): boolean {
  return jobs.every((job) => job.isRetired) && nowMs >= sinceMs + dedupTtlMs;
}
