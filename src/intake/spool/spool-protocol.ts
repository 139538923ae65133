// The messages between the two sides of the spool: requests to its thread, replies, its state, and events.
import * as z from 'zod';
import type { SpooledEntry, SpoolEntry, SpoolQueue, SpoolRange, SpoolWrite } from './spool-entry.ts';
import { ownerSchema } from './spool-owner.ts';
import type { SalvageReport } from './spool-salvage.ts';

/** How far a queue was read, as an id per subfolder. */
export type SpoolPosition = ReadonlyMap<string, number>;

export type SpoolRequest =
  | { readonly op: 'append'; readonly entries: readonly SpoolEntry[] }
  | { readonly op: 'queues' }
  | { readonly op: 'read'; readonly queue: SpoolQueue; readonly limit: number; readonly after: SpoolPosition }
  | { readonly op: 'remove'; readonly queue: SpoolQueue; readonly folder: string; readonly ids: SpoolRange }
  | { readonly op: 'find'; readonly brand: string; readonly gatewayReference: string; readonly limit: number }
  | { readonly op: 'adopt' }
  | { readonly op: 'identify'; readonly id: string }
  | { readonly op: 'close' };

/** The result; `code` if the request failed. */
export interface SpoolReply {
  readonly code?: string;
  readonly writes?: readonly SpoolWrite[];
  readonly queues?: readonly SpoolQueue[];
  readonly batch?: SpoolBatch;
  readonly found?: readonly string[];
}

/** Entries read from one subfolder, in order; `remove` takes them to forget them. */
export interface SpoolBatch {
  readonly folder: string;
  readonly entries: readonly SpooledEntry[];
}

export interface SpoolState {
  /** Undefined while entries can be written. */
  readonly problem: string | undefined;
  /** There is no room for an ordinary callback. */
  readonly isShort: boolean;
  /** Damaged subfolders that were set aside in SPOOL_DIR. */
  readonly damaged: number;
  /** The number of callbacks. */
  readonly entries: number;
  readonly bytes: number;
  readonly quarantineEntries: number;
}

export type SpoolNotice =
  | { readonly event: 'spool.adopted'; readonly folder: string; readonly entries: number }
  | { readonly event: 'spool.not_adopted'; readonly folder: string; readonly code: string }
  | { readonly event: 'spool.of_later_version'; readonly folder: string }
  | { readonly event: 'spool.foreign'; readonly folder: string; readonly owner: string }
  | ({ readonly event: 'spool.damaged' } & SalvageReport)
  | { readonly event: 'spool.not_deleted'; readonly code: string }
  | { readonly event: 'spool.quarantine_dropped'; readonly dropped: number };

export interface SpoolMessage {
  readonly state: SpoolState;
  readonly reply?: { readonly id: number; readonly value: SpoolReply };
  readonly notices: readonly SpoolNotice[];
}

export const spoolThreadOptions = z.object({
  dir: z.string(),
  maxBytes: z.number(),
  quarantineMaxBytes: z.number(),
  quarantineRetainMs: z.number(),
  owner: ownerSchema.optional(),
});
