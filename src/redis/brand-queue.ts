// Names a brand's place in Redis: the name and prefix of its BullMQ queue, and our own keys beside it.
//
// Every key of a brand has the same hash tag, so one script may touch them all on a Cluster, and brands spread.
import { defaultBrand } from '../config/brand-values.ts';

export interface BrandQueue {
  readonly brand: string;
  /** BullMQ's queue name and prefix, as in `new Worker(name, fn, { prefix })`. */
  readonly name: string;
  readonly prefix: string;
  /** `prefix:name`. BullMQ's keys are `base:...` and ours `base/...`, so they cannot collide. */
  readonly base: string;
  /** The settings it was built from; with them the queues of other brands can be named too. */
  readonly naming: QueueNaming;
}

export interface QueueNaming {
  readonly QUEUE_NAME: string;
  readonly QUEUE_PREFIX: string;
}

export function brandQueue(brand: string, naming: QueueNaming): BrandQueue {
  const { QUEUE_NAME, QUEUE_PREFIX } = naming;
  const own = brand === defaultBrand;
  const name = own ? QUEUE_NAME : `${QUEUE_NAME}.${brand}`;
  const prefix = own ? QUEUE_PREFIX : brandPrefix(QUEUE_PREFIX, brand);
  return { brand, name, prefix, base: `${prefix}:${name}`, naming: { QUEUE_NAME, QUEUE_PREFIX } };
}

/** The brand goes inside the braces, where it decides the Cluster slot: `{payalo}` -> `{payalo.acme}`. */
function brandPrefix(prefix: string, brand: string): string {
  const close = prefix.indexOf('}');
  return close < 0 ? `${prefix}.${brand}` : `${prefix.slice(0, close)}.${brand}${prefix.slice(close)}`;
}

/** Our own keys; `accept.lua` writes them, the index reads them. */
export const keysOf = {
  claim: ({ base }: BrandQueue, digest: string) => `${base}/c:${digest}`,
  /** Hash: status -> claim digest, for the statuses other than success and failed that came for a reference. */
  otherKinds: ({ base }: BrandQueue, referenceDigest: string) => `${base}/o:${referenceDigest}`,
  /** Hash: claim digest -> '', for the callbacks with one merchant's reference. */
  merchantReference: ({ base }: BrandQueue, referenceDigest: string) => `${base}/m:${referenceDigest}`,
  /** Sorted sets: job id by receipt time in ms; one each for success, failed and every other status. */
  index: ({ base }: BrandQueue, part: IndexPart) => `${base}/l:${part}`,
  /** Hash: `status|amount` -> quarantine id, for results that contradict a claim. */
  conflicts: ({ base }: BrandQueue, digest: string) => `${base}/x:${digest}`,
  /** Sorted set: quarantine id by time in ms; each entry is a hash. */
  quarantine: ({ base }: BrandQueue) => `${base}/q`,
  quarantineEntry: ({ base }: BrandQueue, id: string) => `${base}/q:${id}`,
  quarantineBytes: ({ base }: BrandQueue) => `${base}/qbytes`,
  /** Sorted set: quarantine id by time, for conflicts that reconciliation has not verified yet. */
  unverified: ({ base }: BrandQueue) => `${base}/unverified`,
  /** Hash: the outcome of each further try under a claimed identity (see accept.lua). */
  tries: ({ base }: BrandQueue, digest: string) => `${base}/t:${digest}`,
  /** Text: written by each call that replicas must confirm, so that WAIT has a write to confirm. */
  mark: ({ base }: BrandQueue) => `${base}/mark`,
  /** Hash: the state of the merchant's breaker; absent while it is closed. Beside it, the set of failing jobs. */
  breaker: ({ base }: BrandQueue) => `${base}/b`,
  breakerFailures: ({ base }: BrandQueue) => `${base}/b:failures`,
  /** Sets of job ids: failed and waiting without a spent attempt while it is open; failed though others were delivered. */
  breakerResting: ({ base }: BrandQueue) => `${base}/b:resting`,
  breakerOwn: ({ base }: BrandQueue) => `${base}/b:own`,
  /** List: the audit trail, latest first; hash: `minute:name` -> count, for the console's charts; retention's lock. */
  audit: ({ base }: BrandQueue) => `${base}/audit`,
  /** Hash: the notified state by kind; list: notifications to send; text: lock of the process that sends them. */
  notified: ({ base }: BrandQueue) => `${base}/notified`,
  notifications: ({ base }: BrandQueue) => `${base}/notify`,
  notifier: ({ base }: BrandQueue) => `${base}/notifier`,
  rates: ({ base }: BrandQueue) => `${base}/rates`,
  retention: ({ base }: BrandQueue) => `${base}/retention`,
  /** Text: lock of the process that looks for stranded jobs (stranded.ts). */
  strandedLook: ({ base }: BrandQueue) => `${base}/stranded`,
  /** Sorted set: gatewayReference by next look-up, for expected transactions. */
  expectations: ({ base }: BrandQueue) => `${base}/expect`,
  /** Hash: gatewayReference -> when the gateway last answered unknown or refused, and the current delay. Expectations only. */
  unknownExpectations: ({ base }: BrandQueue) => `${base}/expect:unknown`,
  /** Text: exists if an amount was registered within DEDUP_TTL; otherwise nobody looks for one. */
  amountsExpected: ({ base }: BrandQueue) => `${base}/expect:amounts`,
  /** Hash: `amount` -> the amount that the merchant ordered, as JSON. */
  expectedAmount: ({ base }: BrandQueue, digest: string) => `${base}/e:${digest}`,
  expectedMerchantReferences: ({ base }: BrandQueue) => `${base}/expect:merchant`,
  /** Sorted sets of unfinished transactions: by creation, by next look-up, and those still pending, by creation. */
  watched: ({ base }: BrandQueue) => `${base}/watch`,
  watchedDue: ({ base }: BrandQueue) => `${base}/watch:due`,
  watchedPending: ({ base }: BrandQueue) => `${base}/watch:pending`,
  /** Sorted set: claim digest by when it was first seen terminal, if the gateway names no past completion. */
  firstSeen: ({ base }: BrandQueue) => `${base}/seen`,
  /** Text: lock of the process that reconciles. */
  reconciler: ({ base }: BrandQueue) => `${base}/reconciler`,
  /** Hash: the checkpoint, the sweep in progress, the windows to retry. */
  sweepState: ({ base }: BrandQueue) => `${base}/sweep`,
  /** List: the last sweeps as JSON, newest first. */
  sweepReports: ({ base }: BrandQueue) => `${base}/sweeps`,
  /** JSON: the brand's former names, or the name that took it over (brand-lineage.ts). */
  lineage: ({ base }: BrandQueue) => `${base}/lineage`,
  /** Exists while `brand move` copies claims here: nothing is accepted until they are complete. */
  lineageHold: ({ base }: BrandQueue) => `${base}/lineage:hold`,
  /** Hash: job id -> place and score, for jobs taken out to be moved; text: lock of the process that moves. */
  moving: ({ base }: BrandQueue) => `${base}/moving`,
  mover: ({ base }: BrandQueue) => `${base}/mover`,
  /** Set: ids of jobs that came from another brand and may still exist there. */
  taken: ({ base }: BrandQueue, from: string) => `${base}/taken:${from}`,
  /** Text with a TTL: exists while somebody follows BullMQ's `added` and `waiting` (new-callbacks.ts), which are else skipped. */
  listening: ({ base }: BrandQueue) => `${base}/listening`,
  /** JSON: since when the oldest undelivered callback has waited, and when that was measured (oldest-undelivered.ts). */
  oldestUndelivered: ({ base }: BrandQueue) => `${base}/oldest`,
  /** Set: brands that are being moved here: their claims may arrive before their jobs. */
  incoming: ({ base }: BrandQueue) => `${base}/incoming`,
  /** Text: lock of the process that keeps claims alive (claim-keeper.ts). */
  claimKeeper: ({ base }: BrandQueue) => `${base}/keeper`,
  /** Hash: `event`, the position up to which BullMQ's events were read for deliveries; `at`, the last delivery, in ms. */
  followed: ({ base }: BrandQueue) => `${base}/followed`,
  /** Sorted set: job id by end of its lease, for jobs that a built-in worker has held for more than a moment. */
  inHand: ({ base }: BrandQueue) => `${base}/f`,
  /** Sorted set: job id by receipt time, for jobs that were found removed before delivery. */
  removed: ({ base }: BrandQueue) => `${base}/r`,
  /** Sorted set: callbacks by when the gateway is next asked to confirm them (store/confirmation). */
  unconfirmed: ({ base }: BrandQueue) => `${base}/unconfirmed`,
  /** Sorted set: job id by time, for callbacks that the gateway denied. */
  denied: ({ base }: BrandQueue) => `${base}/denied`,
  /** Sorted set: job id by when it was held. Outside BullMQ's places, so that no worker or dashboard delivers it. */
  held: ({ base }: BrandQueue) => `${base}/held`,
  /** Sorted set: job id by time, for callbacks whose amount differs from the expected one. */
  mismatched: ({ base }: BrandQueue) => `${base}/mismatched`,
  job: ({ base }: BrandQueue, jobId: string) => `${base}:${jobId}`,
  jobLog: ({ base }: BrandQueue, jobId: string) => `${base}:${jobId}:logs`,
} as const;

export const indexParts = ['success', 'failed', 'other'] as const;
export type IndexPart = (typeof indexParts)[number];

export function indexPartOf(status: string | null): IndexPart {
  return status === 'success' || status === 'failed' ? status : 'other';
}

export function indexKeys(queue: BrandQueue): string[] {
  return indexParts.map((part) => keysOf.index(queue, part));
}

/** BullMQ's own keys of a queue: `wait`, `active`, `meta`, ... */
export function bullKeys({ base }: BrandQueue, ...names: readonly string[]): string[] {
  return names.map((name) => `${base}:${name}`);
}
