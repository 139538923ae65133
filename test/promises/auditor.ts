// The auditor compares three lists: the callbacks answered 200, the deliveries, and what remains in queue and spool.
//
// A pure function, so that it can be tested itself, and no fault of the product can affect it.
import { tookMs, type Answer } from '../support/load.ts';

export interface Got {
  readonly reference: string;
  readonly webhookId: string;
  readonly body: string;
  /** Whether the merchant answered 2xx. */
  readonly taken: boolean;
}

/** The time of a deliberate outage of a part: `redis`, `disk`, or a receiver's URL. */
export interface Outage {
  readonly part: string;
  readonly fromMs: number;
  /** Infinity while the outage lasts. */
  toMs: number;
}

/** The gateway's successive states of a transaction; the last body counts. */
export interface Truth {
  readonly bodies: readonly string[];
}

export interface Remaining {
  /** References that the operator API lists as delivered. */
  readonly listedDelivered: ReadonlySet<string>;
  readonly queued: ReadonlySet<string>;
  readonly failed: ReadonlySet<string>;
  readonly spooled: ReadonlySet<string>;
  readonly quarantined: ReadonlySet<string>;
  /** References that the operator API lists as denied by the gateway. */
  readonly denied: ReadonlySet<string>;
}

export interface Evidence {
  readonly answers: readonly Answer[];
  readonly got: readonly Got[];
  readonly remaining: Remaining;
  readonly outages: readonly Outage[];
  /** Transactions whose callbacks were never sent: the reconciler must find them. */
  readonly truths: ReadonlyMap<string, Truth>;
  /** Removed from the queue by another program, or on a damaged page of a disk: these cannot be delivered. */
  readonly destroyed: ReadonlySet<string>;
  /** ACK_BUDGET + 2 s. */
  readonly answerWithinMs: number;
  /** Forged callbacks may reach the merchant before they are denied (CONFIRM=after). */
  readonly forgedMayPass?: boolean;
}

export interface Report {
  readonly callbacks: number;
  readonly acknowledged: number;
  readonly unavailable: number;
  readonly unanswered: number;
  readonly delivered: number;
  /** Acknowledged, and neither delivered nor stored. Must be empty. */
  readonly lost: readonly string[];
  /** Acknowledged and in state `failed`: kept, but given up. Must be empty, because no fault is caused by a callback. */
  readonly failed: readonly string[];
  /** Acknowledged, and destroyed by the test itself: not lost by the service. */
  readonly destroyed: number;
  readonly stillQueued: number;
  readonly stillSpooled: number;
  readonly quarantined: number;
  /** Transactions that the reconciler did not find, and those whose last state did not arrive. Must be empty. */
  readonly toBeFound: number;
  readonly notFound: readonly string[];
  /** Results under more than one webhook-id, such as a correction delivered twice. Must be empty. */
  readonly underTwoIds: readonly string[];
  /** Webhook-ids used for two results. Must be empty. */
  readonly idsWithTwoResults: readonly string[];
  /** Listed as delivered by the operator API although the merchant never accepted them. Must be empty. */
  readonly listedDelivered: readonly string[];
  /** Delivered with another body than the one sent. Must be empty. */
  readonly altered: readonly string[];
  /** Delivered more than once under the same webhook-id: allowed, but counted. */
  readonly deliveredAgain: number;
  readonly slowestMs: number;
  readonly forged: number;
  readonly forgedAcknowledged: number;
  /** Forged and delivered: allowed with CONFIRM=after. */
  readonly forgedPassed: number;
  /** Forged and delivered although CONFIRM forbids it. Must be empty. */
  readonly forgedDelivered: readonly string[];
  /** Forged, acknowledged, and never denied. Must be empty. */
  readonly forgedBelieved: readonly string[];
  /** Answered later than ACK_BUDGET + 2 s. Must be empty. */
  readonly late: readonly string[];
  /** Refused although Redis or the spool should have worked, or not answered by a running receiver. Must be empty. */
  readonly unjustified: readonly string[];
}

/** How long the effects of an outage may last after its end: a breaker's probe, a process start. */
const aftermathMs = 3_000;

export function audit(evidence: Evidence): Report {
  const { answers, got, remaining, outages, truths, destroyed, answerWithinMs } = evidence;
  const acknowledged = answers.filter(({ status, isForged }) => status === 200 && isForged !== true);
  const taken = Map.groupBy(
    got.filter((delivery) => delivery.taken),
    ({ reference }) => reference,
  );
  const undelivered = acknowledged.map(({ reference }) => reference).filter((reference) => !taken.has(reference));
  const inTime = (answer: Answer) => answer.status === null || tookMs(answer) <= answerWithinMs;
  return {
    callbacks: answers.length,
    acknowledged: acknowledged.length,
    unavailable: answers.filter(({ status }) => status === 503).length,
    unanswered: answers.filter(({ status }) => status === null).length,
    delivered: acknowledged.length - undelivered.length,
    lost: undelivered.filter((reference) => !isKept(remaining, reference) && !destroyed.has(reference)),
    failed: undelivered.filter((reference) => remaining.failed.has(reference)),
    destroyed: undelivered.filter((reference) => destroyed.has(reference) && !isKept(remaining, reference)).length,
    stillQueued: remaining.queued.size,
    stillSpooled: remaining.spooled.size,
    quarantined: remaining.quarantined.size,
    toBeFound: truths.size,
    notFound: notFound(truths, taken),
    ...forgedIn(evidence),
    ...idsOf(got),
    listedDelivered: [...remaining.listedDelivered].filter((reference) => !taken.has(reference)),
    altered: alteredIn(got, answers, truths),
    deliveredAgain: [...Map.groupBy([...taken.values()].flat(), ({ webhookId }) => webhookId).values()].reduce(
      (sum, list) => sum + list.length - 1,
      0,
    ),
    slowestMs: Math.round(
      answers.filter(({ status }) => status !== null).reduce((slowest, answer) => Math.max(slowest, tookMs(answer)), 0),
    ),
    late: answers.filter((answer) => !inTime(answer)).map((answer) => describeLate(answer, answers[0])),
    unjustified: answers.filter((answer) => !isJustified(answer, outages)).map(describe),
  };
}

function forgedIn({ answers, got, remaining, destroyed, forgedMayPass = false }: Evidence) {
  const forged = answers.filter(({ isForged }) => isForged === true);
  const references = new Set(forged.map(({ reference }) => reference));
  const isOpen = ({ reference }: Answer) => !remaining.denied.has(reference) && !destroyed.has(reference);
  const passed = got.map(({ reference }) => reference).filter((one) => references.has(one));
  return {
    forged: forged.length,
    forgedAcknowledged: forged.filter(({ status }) => status === 200).length,
    forgedPassed: new Set(passed).size,
    forgedDelivered: forgedMayPass ? [] : passed,
    forgedBelieved: forged.filter((one) => one.status === 200 && isOpen(one)).map(({ reference }) => reference),
  };
}

function isKept({ queued, failed, spooled, quarantined }: Remaining, reference: string): boolean {
  return [queued, failed, spooled, quarantined].some((references) => references.has(reference));
}

/** Transactions whose last state the merchant never accepted. */
export function notFound(
  truths: ReadonlyMap<string, Truth>,
  taken: ReadonlyMap<string, readonly Pick<Got, 'body'>[]>,
): string[] {
  return [...truths].flatMap(([reference, { bodies }]) => {
    const last = bodies.at(-1);
    return (taken.get(reference) ?? []).some(({ body }) => body === last) ? [] : [reference];
  });
}

function idsOf(got: readonly Got[]) {
  const ids = Map.groupBy(got, ({ reference, body }) => JSON.stringify([reference, body]));
  const results = Map.groupBy(got, ({ webhookId }) => webhookId);
  const differ = (list: readonly Got[], field: 'webhookId' | 'body') =>
    new Set(list.map((delivery) => delivery[field])).size > 1;
  return {
    underTwoIds: [...ids.values()].filter((list) => differ(list, 'webhookId')).map(([first]) => first?.reference ?? ''),
    idsWithTwoResults: [...results].filter(([, list]) => differ(list, 'body')).map(([id]) => id),
  };
}

function alteredIn(got: readonly Got[], answers: readonly Answer[], truths: ReadonlyMap<string, Truth>): string[] {
  const sent = new Map(answers.map(({ reference, body }) => [reference, [body]]));
  const isGenuine = ({ reference, body }: Got) =>
    (sent.get(reference) ?? truths.get(reference)?.bodies ?? []).includes(body);
  return got.filter((delivery) => !isGenuine(delivery)).map(({ reference }) => reference);
}

/** One sentence for each broken promise; empty if there are none. */
export function violations(report: Report): string[] {
  const rules = [
    ['acknowledged and lost', report.lost],
    ['acknowledged and given up', report.failed],
    ['known to the gateway and not found', report.notFound],
    ['forged and delivered', report.forgedDelivered],
    ['forged and not denied', report.forgedBelieved],
    ['delivered under two webhook-ids', report.underTwoIds],
    ['webhook-ids with two results', report.idsWithTwoResults],
    ['listed as delivered and never delivered', report.listedDelivered],
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

/** With the time since the load began, for comparison with the faults. */
function describeLate(answer: Answer, first: Answer | undefined): string {
  const { reference, target, sentAtMs } = answer;
  const seconds = (sentAtMs - (first?.sentAtMs ?? sentAtMs)) / 1_000;
  return `${reference} (after ${Math.round(tookMs(answer))} ms from ${target}, sent at ${seconds.toFixed(1)} s)`;
}

function describe({ reference, status, target }: Answer): string {
  return `${reference} (${status ?? 'no answer'} from ${target})`;
}
