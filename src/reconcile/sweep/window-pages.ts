// The gateway's records of a window, page by page. If a page exceeds the reply limit, its part of the window is read again
// with smaller pages; if it cannot be read at all, the part is halved until the damaged record is alone. The longest part
// comes first, and a window is halved a limited number of times: with more damage than that, only neighbours within a few
// seconds stay unread as well.
//
// A cursor keeps its page size, and the gateway promises no order, so a part is always read again from its start, which the
// reader learns by `restarted`. Ends after a failure.
import { describeFailure, type GatewayClient } from '../gateway/gateway-client.ts';
import type { RecordsPage } from '../gateway/records-page.ts';

export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export type WindowPage =
  | { readonly kind: 'page'; readonly page: RecordsPage }
  /** Everything since the last `part` is read again. */
  | { readonly kind: 'restarted' }
  /** A part of the window was read completely: its results are final. */
  | { readonly kind: 'part' }
  /** Like `part`, but incomplete: something created in it cannot be read. */
  | { readonly kind: 'unreadable'; readonly window: Window }
  | { readonly kind: 'failed'; readonly reason: string };

export const pageSizeDefault = 500;
/** With this page size a page fits even if all its transactions have the largest size. */
const pageSizeMin = 16;
/** At the usual page size this is 50 million transactions: the cursor must be faulty. */
const pagesMax = 100_000;
/** Halving an hour down to a millisecond takes 22 steps: enough for a dozen damaged records, or a hundred down to seconds. */
const halvingsMax = 300;
const partMinMs = 1;

type Gateway = Pick<GatewayClient, 'records' | 'nextRecords'>;

export async function* windowPages(
  gateway: Gateway,
  window: Window,
  pageSizeFirst: number,
  signal: AbortSignal,
): AsyncGenerator<WindowPage> {
  const parts: Window[] = [window];
  let halvings = 0;
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    const isSmallest = part.toMs - part.fromMs <= partMinMs || halvings >= halvingsMax;
    const ended = yield* readPart(gateway, part, { pageSizeFirst, isSmallest }, signal);
    if (ended === 'read') {
      yield { kind: 'part' };
    } else if (ended !== 'unreadable') {
      return yield ended;
    } else if (isSmallest) {
      yield { kind: 'unreadable', window: part };
    } else {
      halvings += 1;
      yield { kind: 'restarted' };
      parts.push(...halves(part));
    }
  }
}

/** Reduces the page size if a page is too large; one transaction per page is the last resort. */
async function* readPart(
  gateway: Gateway,
  part: Window,
  { pageSizeFirst, isSmallest }: { readonly pageSizeFirst: number; readonly isSmallest: boolean },
  signal: AbortSignal,
): AsyncGenerator<WindowPage, 'read' | 'unreadable' | Extract<WindowPage, { kind: 'failed' }>> {
  for (let pageSize = pageSizeFirst; ;) {
    const ended = yield* readPages(gateway, part, pageSize, signal);
    if (ended === 'damaged' && !isSmallest) return 'unreadable';
    if (ended !== 'damaged' && ended !== 'too-large') return ended;
    const sizeMin = isSmallest ? 1 : pageSizeMin;
    if (pageSize <= sizeMin) return 'unreadable';
    pageSize = ended === 'damaged' ? 1 : Math.max(Math.floor(pageSize / 2), sizeMin);
    yield { kind: 'restarted' };
  }
}

async function* readPages(
  gateway: Gateway,
  part: Window,
  pageSize: number,
  signal: AbortSignal,
): AsyncGenerator<WindowPage, 'read' | 'damaged' | 'too-large' | Extract<WindowPage, { kind: 'failed' }>> {
  const cursors = new Set<string>();
  let cursor: string | undefined;
  for (let pages = 1; pages <= pagesMax; pages += 1) {
    const answer =
      cursor === undefined
        ? await gateway.records({ ...part, pageSize }, signal)
        : await gateway.nextRecords(cursor, signal);
    switch (answer.kind) {
      case 'page':
        if (answer.next !== undefined && cursors.has(answer.next)) return failed('cursor-repeats-itself');
        yield { kind: 'page', page: answer };
        if (answer.next === undefined) return 'read';
        cursor = answer.next;
        cursors.add(cursor);
        break;
      case 'too-large':
      case 'damaged':
        return answer.kind;
      default:
        return failed(describeFailure(answer));
    }
  }
  return failed('too-many-pages');
}

function halves({ fromMs, toMs }: Window): [Window, Window] {
  const middleMs = Math.floor((fromMs + toMs) / 2);
  return [
    { fromMs, toMs: middleMs },
    { fromMs: middleMs, toMs },
  ];
}

function failed(reason: string) {
  return { kind: 'failed', reason } as const;
}
