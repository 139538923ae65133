// `GET /records`: every transaction created in a window, page by page. The cursor holds the whole query and the position, so
// that a follow-up call sends only the cursor, and new transactions shift no page.
import { z } from 'zod';
import type { Transaction, Transactions } from './transactions.ts';

const pageSizeDefault = 50;
const pageSizeMax = 5000;

export type RecordsAnswer =
  | { readonly kind: 'page'; readonly transactions: readonly Transaction[]; readonly next: string | null }
  | { readonly kind: 'refused'; readonly detail: string };

/** One page for the query's parameters. `from` is inclusive, `to` exclusive. */
export function recordsPage(transactions: Transactions, merchant: string, query: unknown): RecordsAnswer {
  const question = parseQuestion(query);
  if (typeof question === 'string') return { kind: 'refused', detail: question };
  const page: Transaction[] = [];
  for (const transaction of transactions.after(question.place)) {
    if (transaction.createdAtMs >= question.toMs) break;
    if (transaction.merchant !== merchant || !matches(transaction, question)) continue;
    if (page.length === question.pageSize) return { kind: 'page', transactions: page, next: cursor(question, page) };
    page.push(transaction);
  }
  return { kind: 'page', transactions: page, next: null };
}

const questionSchema = z.object({
  toMs: z.number(),
  type: z.string().nullable(),
  method: z.string().nullable(),
  status: z.string().nullable(),
  pageSize: z.int().min(1).max(pageSizeMax),
  place: z.object({ createdAtMs: z.number(), sequence: z.number() }),
});

type Question = z.infer<typeof questionSchema>;

const instant = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const querySchema = z.object({
  from: instant,
  to: instant,
  type: z.enum(['payin', 'payout', 'tax']).optional(),
  method: z.string().optional(),
  status: z.string().optional(),
  pageSize: z
    .string()
    .regex(/^-?\d{1,9}$/)
    .optional(),
});

/** The query, or why it is invalid. */
function parseQuestion(query: unknown): Question | string {
  const follow = z.strictObject({ page: z.string() }).safeParse(query);
  if (follow.success) return readCursor(follow.data.page) ?? 'page: not a cursor of this gateway';
  if (z.object({ page: z.unknown() }).safeParse(query).data?.page !== undefined) {
    return 'page: a follow-up call sends it alone';
  }
  const parsed = querySchema.safeParse(query);
  if (!parsed.success)
    return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  const { from, to, type, method, status, pageSize } = parsed.data;
  if (to <= from) return 'to: must be after from';
  return {
    toMs: to,
    type: type ?? null,
    method: method ?? null,
    status: status ?? null,
    pageSize: Math.min(Math.max(pageSize === undefined ? pageSizeDefault : Number(pageSize), 1), pageSizeMax),
    place: { createdAtMs: from, sequence: -1 },
  };
}

function matches(transaction: Transaction, { type, method, status }: Question): boolean {
  return (
    transaction.misbehaviour.denied !== true &&
    (type === null || transaction.type === type) &&
    (method === null || transaction.method === method) &&
    (status === null || transaction.state.status === status)
  );
}

function cursor(question: Question, page: readonly Transaction[]): string {
  const { createdAtMs, sequence } = page.at(-1) ?? question.place;
  const next: Question = { ...question, place: { createdAtMs, sequence } };
  return Buffer.from(JSON.stringify(next)).toString('base64url');
}

function readCursor(page: string): Question | null {
  try {
    return questionSchema.parse(JSON.parse(Buffer.from(page, 'base64url').toString()));
  } catch {
    return null;
  }
}
