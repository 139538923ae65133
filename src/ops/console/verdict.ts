// The first line of a callback's page, for support on the phone: was it paid, how much, and is it real? Below it the page
// says whether the shop was notified.
import * as z from 'zod';
import { canonicalDecimal, parseExact } from '../../callback/decimal.ts';
import { withoutByteOrderMark } from '../../callback/json-text.ts';
import type { Finding } from '../../store/callbacks/callback-index.ts';
import type { CallbackView } from '../../store/callbacks/callback-view.ts';

export interface Verdict {
  readonly tone: 'good' | 'bad' | 'neutral';
  /** Without a full stop. */
  readonly title: string;
  readonly detail: string;
}

const amount = z
  .object({ value: z.union([z.string(), z.number()]).transform(String), currency: z.string() })
  .nullish()
  .catch(null);
const word = z.string().nullish().catch(null);
const resultSchema = z.object({ finalAmount: amount, requestedAmount: amount, errorMessage: word, errorCode: word });
type Result = Partial<z.infer<typeof resultSchema>>;

export function verdictOf({ callback, others }: Pick<Finding, 'callback' | 'others'>): Verdict {
  const { status, confirmed, receivedAt } = callback;
  if (confirmed === 'denied') return denied(callback);
  const { finalAmount, requestedAmount, errorMessage, errorCode } = resultIn(callback.body);
  const asked = textOf(requestedAmount);
  const detail = confirmationOf(callback);
  if (status === 'failed') {
    const why = errorMessage ?? errorCode;
    const sum = asked === undefined ? '' : ` ${asked} were requested.`;
    return { tone: 'bad', title: why ? `Not paid: ${why}` : 'Not paid', detail: `${sum} ${detail}`.trim() };
  }
  if (status !== 'success') return otherStatus(status, detail);
  const since = others.filter((one) => one.receivedAt >= receivedAt).map((one) => one.status);
  const paid = textOf(finalAmount) ?? (callback.body === null ? textOf(callback.amount) : undefined);
  if (since.length > 0)
    return {
      tone: 'bad',
      title: `Was paid, and has since been ${since.join(', ')}`,
      detail: 'Money may have been taken back.',
    };
  if (paid === undefined) return { tone: 'good', title: 'Paid; the amount is not stated', detail };
  if (callback.amountCheck !== null && callback.amountCheck !== 'match')
    return {
      tone: 'bad',
      title: `Paid ${paid}, which is not what was ordered`,
      detail: `${checks[callback.amountCheck]} ${detail}`,
    };
  if (asked !== undefined && !isSame(finalAmount, requestedAmount))
    return { tone: 'bad', title: `Paid ${paid} of ${asked}`, detail };
  return { tone: 'good', title: `Paid ${paid}`, detail };
}

const checks = {
  short: 'It is less than the order costs.',
  over: 'It is more than the order costs.',
  currency: 'It is another currency than the order’s.',
} as const;

/** The gateway does not know the transaction, or reports another result. */
function denied({ state, heldReason }: CallbackView): Verdict {
  const title = heldReason?.startsWith('differs')
    ? 'Not true: the gateway reports another result'
    : 'Not real: the gateway does not know this payment';
  const reached = state === 'delivered' || state === 'delivering' || state === 'retrying';
  const detail = reached
    ? 'The shop was notified before the gateway was asked: send nothing, and take back what was given for it.'
    : 'Send nothing for it.';
  return { tone: 'bad', title, detail };
}

function otherStatus(status: string | null, detail: string): Verdict {
  if (status === 'reversed') return { tone: 'bad', title: 'Taken back: the payment was reversed', detail };
  return { tone: 'neutral', title: status === null ? 'Status unknown' : `Not finished: ${status}`, detail };
}

function confirmationOf({ confirmed }: CallbackView): string {
  if (confirmed === null) return '';
  return confirmed === 'yes' ? 'The gateway has confirmed it.' : 'The gateway has not confirmed it yet.';
}

/** Empty if the body is gone, hidden, or not JSON. */
function resultIn(body: string | null): Result {
  if (body === null) return {};
  try {
    return resultSchema.safeParse(parseExact(withoutByteOrderMark(body))).data ?? {};
  } catch {
    return {};
  }
}

/** 100 and 100.0 are equal. */
function isSame(one: Result['finalAmount'], other: Result['finalAmount']): boolean {
  if (!one || !other) return false;
  return canonicalDecimal(one.value) === canonicalDecimal(other.value) && one.currency === other.currency;
}

function textOf(sum: { readonly value: string; readonly currency: string } | null | undefined): string | undefined {
  return sum ? `${sum.value} ${sum.currency}` : undefined;
}
