// The auditor: holds three ledgers against each other. What was answered 200, what the merchant got, what remains.
//
// A pure function of what was seen, so that it can itself be tested, and so that no fault of the product can reach it.
export interface Answer {
  readonly reference: string;
  readonly body: string;
  /** The receiver that it was sent to. */
  readonly target: string;
  readonly sentAtMs: number;
  readonly endedAtMs: number;
  /** Null: there was no answer. */
  readonly status: number | null;
}

export interface Got {
  readonly reference: string;
  readonly webhookId: string;
  readonly body: string;
  /** Whether the merchant answered 2xx. */
  readonly taken: boolean;
}

/** A time in which a part was out of order on purpose: `redis`, `disk`, or a receiver's URL. */
export interface Outage {
  readonly part: string;
  readonly fromMs: number;
  /** Infinity while it lasts. */
  toMs: number;
}

export interface Remaining {
  readonly queued: ReadonlySet<string>;
  readonly failed: ReadonlySet<string>;
  readonly spooled: ReadonlySet<string>;
  readonly quarantined: ReadonlySet<string>;
}

export interface Evidence {
  readonly answers: readonly Answer[];
  readonly got: readonly Got[];
  readonly remaining: Remaining;
  readonly outages: readonly Outage[];
  /** ACK_BUDGET + 2 s. */
  readonly answerWithinMs: number;
}

export interface Report {
  readonly callbacks: number;
  readonly acknowledged: number;
  readonly unavailable: number;
  readonly unanswered: number;
  readonly delivered: number;
  /** Acknowledged, and nowhere. Must be empty. */
  readonly lost: readonly string[];
  /** Acknowledged and set aside in `failed`: kept, yet given up. Must be empty, as no fault here is the callback's. */
  readonly failed: readonly string[];
  readonly stillQueued: number;
  readonly stillSpooled: number;
  readonly quarantined: number;
  /** Delivered under more than one webhook-id. Must be empty. */
  readonly underTwoIds: readonly string[];
  /** Delivered with another body than the one sent. Must be empty. */
  readonly altered: readonly string[];
  /** Delivered more than once under the same webhook-id: allowed, and counted. */
  readonly deliveredAgain: number;
  readonly slowestMs: number;
  /** Answered later than ACK_BUDGET + 2 s. Must be empty. */
  readonly late: readonly string[];
  /** Refused although Redis or the spool should have worked, or not answered by a receiver that lived. Must be empty. */
  readonly unjustified: readonly string[];
}

/** How long after the end of an outage its effects may still show: a breaker's probe, a process that starts. */
const aftermathMs = 3_000;

export function audit({ answers, got, remaining, outages, answerWithinMs }: Evidence): Report {
  const acknowledged = answers.filter(({ status }) => status === 200);
  const bodies = new Map(answers.map(({ reference, body }) => [reference, body]));
  const taken = Map.groupBy(
    got.filter((delivery) => delivery.taken),
    ({ reference }) => reference,
  );
  const ids = Map.groupBy(got, ({ reference }) => reference);
  const isKept = (reference: string) => Object.values(remaining).some((references) => references.has(reference));
  const undelivered = acknowledged.map(({ reference }) => reference).filter((reference) => !taken.has(reference));
  const inTime = (answer: Answer) => answer.status === null || answer.endedAtMs - answer.sentAtMs <= answerWithinMs;
  return {
    callbacks: answers.length,
    acknowledged: acknowledged.length,
    unavailable: answers.filter(({ status }) => status === 503).length,
    unanswered: answers.filter(({ status }) => status === null).length,
    delivered: acknowledged.length - undelivered.length,
    lost: undelivered.filter((reference) => !isKept(reference)),
    failed: undelivered.filter((reference) => remaining.failed.has(reference)),
    stillQueued: remaining.queued.size,
    stillSpooled: remaining.spooled.size,
    quarantined: remaining.quarantined.size,
    underTwoIds: [...ids].filter(([, list]) => new Set(list.map(({ webhookId }) => webhookId)).size > 1).map(first),
    altered: got.filter(({ reference, body }) => bodies.get(reference) !== body).map(({ reference }) => reference),
    deliveredAgain: [...taken.values()].reduce((sum, list) => sum + list.length - 1, 0),
    slowestMs: Math.round(
      answers
        .filter(({ status }) => status !== null)
        .reduce((slowest, { sentAtMs, endedAtMs }) => Math.max(slowest, endedAtMs - sentAtMs), 0),
    ),
    late: answers.filter((answer) => !inTime(answer)).map(({ reference }) => reference),
    unjustified: answers.filter((answer) => !isJustified(answer, outages)).map(describe),
  };
}

/** Every sentence that does not hold; none where all do. */
export function violations(report: Report): string[] {
  const rules = [
    ['acknowledged and lost', report.lost],
    ['acknowledged and given up', report.failed],
    ['delivered under two webhook-ids', report.underTwoIds],
    ['delivered with another body', report.altered],
    ['answered later than the budget', report.late],
    ['refused or not answered without a reason', report.unjustified],
  ] as const;
  return rules
    .filter(([, list]) => list.length > 0)
    .map(([what, list]) => `${list.length} ${what}: ${list.slice(0, 5).join(', ')}`);
}

function isJustified(answer: Answer, outages: readonly Outage[]): boolean {
  if (answer.status === 200) return true;
  const during = outages.filter(
    ({ fromMs, toMs }) => fromMs <= answer.endedAtMs && toMs + aftermathMs >= answer.sentAtMs,
  );
  const parts = new Set(during.map(({ part }) => part));
  if (answer.status === 503) return parts.has('redis') && parts.has('disk');
  return answer.status === null && parts.has(answer.target);
}

function describe({ reference, status, target }: Answer): string {
  return `${reference} (${status ?? 'no answer'} from ${target})`;
}

function first<T>([key]: readonly [T, unknown]): T {
  return key;
}
