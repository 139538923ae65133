// The lines below the first page's headline: problems that nothing else shows. Each names what does not arrive, since when,
// and what to check.
import type { Overview } from '../overview.ts';
import { countOf, relativeTo, spanOf } from './format.ts';

export interface OverviewLinesView {
  readonly overview: Overview;
  /** In the last hour; undefined while Redis cannot be read. */
  readonly received: number | undefined;
  readonly callbackUrl: string;
  readonly nowMs: number;
}

type BrandForwarding = NonNullable<Overview['forwarding']>[number];

/** By then a restarting merchant is back. */
const quietMs = 60_000;
/** The age of a single callback while others are delivered. */
const lateMs = 3_600_000;

export function overviewLines(view: OverviewLinesView): string[] {
  const { overview, nowMs } = view;
  const isOne = overview.forwarding?.length === 1;
  return [
    ...(overview.forwarding ?? []).flatMap((brand) => undeliveredLine(brand, isOne, nowMs) ?? []),
    ...removedLine(overview),
    ...unreachedLine(view),
    ...overview.notices.map((notice) => `${notice}.`),
  ];
}

function undeliveredLine(forwarding: BrandForwarding, isOne: boolean, nowMs: number): string | undefined {
  const { brand, undelivered, oldestUndelivered, lastDelivered, paused } = forwarding;
  if (oldestUndelivered === null) return undefined;
  const name = isOne ? 'the merchant' : brand;
  const ageMs = nowMs - Date.parse(oldestUndelivered);
  const isSilent = lastDelivered === null || lastDelivered < oldestUndelivered;
  const many =
    undelivered === 1 ? '1 callback waits or is retried' : `${countOf(undelivered)} callbacks wait or are retried`;
  if (isSilent && ageMs > quietMs) {
    const since =
      lastDelivered === null ? 'yet' : `since ${timeText(lastDelivered)} (${relativeTo(lastDelivered, nowMs)})`;
    const look = paused ? 'Deliveries are paused.' : 'Is a worker running, and what does the endpoint answer?';
    return `Nothing was delivered to ${name} ${since}: ${many}, the oldest for ${spanOf(ageMs)}. ${look}`;
  }
  if (ageMs <= lateMs) return undefined;
  return `The oldest callback of ${name} has not been delivered for ${spanOf(ageMs)}, while others are: ${many}.`;
}

function removedLine({ jobs }: Overview): string[] {
  if (jobs === null || jobs.removed === 0) return [];
  const many = jobs.removed === 1 ? '1 callback was' : `${countOf(jobs.removed)} callbacks were`;
  return [
    `${many} removed from the queue before being delivered; the next sweep fetches what it can from the gateway.`,
  ];
}

function unreachedLine({ overview, received, callbackUrl }: OverviewLinesView): string[] {
  const found = overview.reconciliation?.foundLastHour ?? 0;
  if (found === 0 || received !== 0) return [];
  return [
    `No callback has come for an hour, but the gateway’s records contained ${countOf(found)}: can the gateway reach ${callbackUrl}?`,
  ];
}

/** `2026-01-31 12:00 UTC` */
function timeText(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}
