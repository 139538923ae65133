// Hides personal data from support tokens: bodies, and the merchant's answers.
//
// The API omits these fields from every answer; the console's pages get views without them.
import type { QuarantineEntry } from '../intake/quarantine/quarantine.ts';
import type { Finding } from '../store/callbacks/callback-index.ts';
import type { Attempt } from '../store/callbacks/job-attempts.ts';
import type { CallbackRow, CallbackView } from '../store/callbacks/callback-view.ts';

const withheldFields: ReadonlySet<string> = new Set(['body', 'bodyBase64', 'answer']);
const reasonFields: ReadonlySet<string> = new Set(['failedReason', 'error']);

/** A JSON.stringify replacer that omits these fields at any depth. */
export function withoutPersonalData(key: string, value: unknown): unknown {
  if (withheldFields.has(key)) return undefined;
  return reasonFields.has(key) && typeof value === 'string' ? plainReason(value) : value;
}

export function maskRow<Row extends CallbackRow>(row: Row): Row {
  return { ...row, failedReason: row.failedReason === null ? null : plainReason(row.failedReason) };
}

function maskCallback(view: CallbackView): CallbackView {
  return {
    ...maskRow(view),
    body: null,
    attempts: view.attempts.map(maskAttempt),
    conflicts: view.conflicts.map((conflict) => ({ ...conflict, body: null })),
  };
}

function maskAttempt({ attempt, at, status, error, ms }: Attempt): Attempt {
  return { attempt, at, status, ms, error: error === undefined ? undefined : plainReason(error) };
}

export function maskFinding({ callback, corrected, others }: Finding): Finding {
  return { callback: maskCallback(callback), corrected: corrected.map(maskCallback), others: others.map(maskCallback) };
}

export function maskEntry(entry: QuarantineEntry): QuarantineEntry {
  return { ...entry, body: Buffer.alloc(0) };
}

/** Our own worker's words: `HTTP 500`, `timeout`, `ECONNREFUSED`, `TypeError`. A merchant's worker may write anything. */
const ownWords = /^(?:HTTP \d{3}|timeout|[A-Z][A-Z0-9_]*|[A-Za-z]*Error)(?:, the last of \d+ attempts)?$/;
const noCallback = "the job's data is no callback of version 1";

function plainReason(reason: string): string {
  return ownWords.test(reason) || reason === noCallback ? reason : 'not shown';
}
