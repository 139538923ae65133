// Where a brand's callbacks live in Redis: the BullMQ queue's name and prefix, and the keys of ours beside it.
//
// Every key of a brand has the same hash tag, so one script may touch them all on a Cluster, and brands spread.
import { defaultBrand } from '../config/brand-values.ts';

export interface BrandQueue {
  readonly brand: string;
  /** BullMQ's queue name and prefix: what `new Worker(name, fn, { prefix })` takes. */
  readonly name: string;
  readonly prefix: string;
  /** `prefix:name`; BullMQ's keys are `base:...`, ours `base/...`, so neither can be taken for the other. */
  readonly base: string;
  /** What it was made of: the queues of other brands are found by it. */
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

/** The brand stands inside the braces, where it decides the Cluster slot: `{payalo}` -> `{payalo.acme}`. */
function brandPrefix(prefix: string, brand: string): string {
  const close = prefix.indexOf('}');
  return close < 0 ? `${prefix}.${brand}` : `${prefix.slice(0, close)}.${brand}${prefix.slice(close)}`;
}

/** The keys of ours; `accept.lua` writes them, the index reads them. */
export const keysOf = {
  claim: ({ base }: BrandQueue, digest: string) => `${base}/c:${digest}`,
  /** Hash: status -> claim digest, of the statuses beside success and failed that came for a reference. */
  otherKinds: ({ base }: BrandQueue, referenceDigest: string) => `${base}/o:${referenceDigest}`,
  /** Hash: claim digest -> '', of the callbacks with one merchant's reference. */
  merchantReference: ({ base }: BrandQueue, referenceDigest: string) => `${base}/m:${referenceDigest}`,
  /** Sorted sets: job id by receipt time in ms; one for success, one for failed, one for every other status. */
  index: ({ base }: BrandQueue, part: IndexPart) => `${base}/l:${part}`,
  /** Hash: `status|amount` -> quarantine id, of what contradicted a claim. */
  conflicts: ({ base }: BrandQueue, digest: string) => `${base}/x:${digest}`,
  /** Sorted set: quarantine id by time in ms; the entries themselves are hashes. */
  quarantine: ({ base }: BrandQueue) => `${base}/q`,
  quarantineEntry: ({ base }: BrandQueue, id: string) => `${base}/q:${id}`,
  quarantineBytes: ({ base }: BrandQueue) => `${base}/qbytes`,
  /** Sorted set: quarantine id by time, of conflicts that reconciliation has yet to verify. */
  unverified: ({ base }: BrandQueue) => `${base}/unverified`,
  /** Hash: what became of each that came under a claimed identity beside what stands (see accept.lua). */
  tries: ({ base }: BrandQueue, digest: string) => `${base}/t:${digest}`,
  /** Text: written by each call that replicas must confirm, so that there is a write for them to confirm. */
  mark: ({ base }: BrandQueue) => `${base}/mark`,
  /** Hash: the state of the merchant's breaker; absent while it is closed. Beside it, the set of failing jobs. */
  breaker: ({ base }: BrandQueue) => `${base}/b`,
  breakerFailures: ({ base }: BrandQueue) => `${base}/b:failures`,
  /** Sets of job ids: failed while it is open and waits, uncounted; failed although the merchant took others. */
  breakerResting: ({ base }: BrandQueue) => `${base}/b:resting`,
  breakerOwn: ({ base }: BrandQueue) => `${base}/b:own`,
  /** List: what operators did, the latest first; hash: `minute:name` -> count, for the console's charts; retention's lock. */
  audit: ({ base }: BrandQueue) => `${base}/audit`,
  /** Hash: what people were told of, by kind; list: notifications that wait; text: the process that sends them now. */
  notified: ({ base }: BrandQueue) => `${base}/notified`,
  notifications: ({ base }: BrandQueue) => `${base}/notify`,
  notifier: ({ base }: BrandQueue) => `${base}/notifier`,
  rates: ({ base }: BrandQueue) => `${base}/rates`,
  retention: ({ base }: BrandQueue) => `${base}/retention`,
  /** Text: the process that looks for stranded jobs now (stranded.ts). */
  strandedLook: ({ base }: BrandQueue) => `${base}/stranded`,
  /** Sorted set: gatewayReference by when it is looked up next, of transactions that the merchant said it started. */
  expectations: ({ base }: BrandQueue) => `${base}/expect`,
  /** Hash: gatewayReference -> when the gateway last did not know it, or refused it, and for how long so far; of those expectations only. */
  unknownExpectations: ({ base }: BrandQueue) => `${base}/expect:unknown`,
  /** Text: there while an amount was registered within DEDUP_TTL; else nobody looks for one. */
  amountsExpected: ({ base }: BrandQueue) => `${base}/expect:amounts`,
  /** Hash: `amount` -> what the merchant ordered, as JSON. */
  expectedAmount: ({ base }: BrandQueue, digest: string) => `${base}/e:${digest}`,
  expectedMerchantReferences: ({ base }: BrandQueue) => `${base}/expect:merchant`,
  /** Sorted sets of transactions seen unfinished: by creation, by next look-up, and those still pending by creation. */
  watched: ({ base }: BrandQueue) => `${base}/watch`,
  watchedDue: ({ base }: BrandQueue) => `${base}/watch:due`,
  watchedPending: ({ base }: BrandQueue) => `${base}/watch:pending`,
  /** Sorted set: claim digest by when it was first seen terminal, where the gateway names no past completion. */
  firstSeen: ({ base }: BrandQueue) => `${base}/seen`,
  /** Text: the token of the one process that reconciles now. */
  reconciler: ({ base }: BrandQueue) => `${base}/reconciler`,
  /** Hash: the checkpoint, the sweep that is under way, the windows behind. */
  sweepState: ({ base }: BrandQueue) => `${base}/sweep`,
  /** List: the last sweeps as JSON, newest first. */
  sweepReports: ({ base }: BrandQueue) => `${base}/sweeps`,
  /** JSON: the names that the brand took over, or the name that took it over (brand-lineage.ts). */
  lineage: ({ base }: BrandQueue) => `${base}/lineage`,
  /** There while `brand move` copies claims here: nothing is accepted until they are complete. */
  lineageHold: ({ base }: BrandQueue) => `${base}/lineage:hold`,
  /** Hash: job id -> its place and score, of jobs that were taken out to be moved; text: the one process that moves. */
  moving: ({ base }: BrandQueue) => `${base}/moving`,
  mover: ({ base }: BrandQueue) => `${base}/mover`,
  /** Set: ids of jobs that came from another brand and may still be there. */
  taken: ({ base }: BrandQueue, from: string) => `${base}/taken:${from}`,
  /** Text, with a time to live: somebody follows BullMQ's `added` and `waiting` (new-callbacks.ts); else nobody writes them. */
  listening: ({ base }: BrandQueue) => `${base}/listening`,
  /** JSON: since when the oldest undelivered callback waits, and when that was found (oldest-undelivered.ts). */
  oldestUndelivered: ({ base }: BrandQueue) => `${base}/oldest`,
  /** Set: brands that are being moved here: a claim may be here before its job. */
  incoming: ({ base }: BrandQueue) => `${base}/incoming`,
  /** Text: the process that keeps claims now (claim-keeper.ts). */
  claimKeeper: ({ base }: BrandQueue) => `${base}/keeper`,
  /** Hash: `event`, how far BullMQ's stream of events was read for deliveries; `at`, when the last one was, in ms. */
  followed: ({ base }: BrandQueue) => `${base}/followed`,
  /** Sorted set: job id by when its lease ends, of jobs that a built-in worker has held for more than a moment. */
  inHand: ({ base }: BrandQueue) => `${base}/f`,
  /** Sorted set: job id by receipt time, of jobs that were found removed before they were delivered. */
  removed: ({ base }: BrandQueue) => `${base}/r`,
  /** Sorted set: callbacks by when the gateway is asked next whether they are true (store/confirmation). */
  unconfirmed: ({ base }: BrandQueue) => `${base}/unconfirmed`,
  /** Sorted set: job id by time, of callbacks that the gateway denied. */
  denied: ({ base }: BrandQueue) => `${base}/denied`,
  /** Sorted set: job id by when it was held. Beside BullMQ's places, so that no worker and no dashboard delivers it. */
  held: ({ base }: BrandQueue) => `${base}/held`,
  /** Sorted set: job id by time, of callbacks that were paid otherwise than ordered. */
  mismatched: ({ base }: BrandQueue) => `${base}/mismatched`,
  job: ({ base }: BrandQueue, jobId: string) => `${base}:${jobId}`,
  jobLog: ({ base }: BrandQueue, jobId: string) => `${base}:${jobId}:logs`,
} as const;

export const indexParts = ['success', 'failed', 'other'] as const;
export type IndexPart = (typeof indexParts)[number];

export function indexPartOf(status: string | null): IndexPart {
  return status === 'success' || status === 'failed' ? status : 'other';
}
