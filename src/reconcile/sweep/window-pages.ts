// The gateway's records of a window, page by page. Where a page is larger than a reply may be, its part of the window is
// read anew with smaller pages; where it cannot be read at all, the part is halved until what spoils it is alone. The
// longest part comes first, and the halvings of a window are limited: where more is spoilt than they can single out, its
// neighbours of a few seconds stay unread, and nothing else.
//
// A cursor keeps the size of its pages, and no order of the transactions is promised: so a part always begins anew, and
// who reads is told. Ends after a failure.
import { describeFailure, type GatewayClient } from '../gateway/gateway-client.ts';
import type { RecordsPage } from '../gateway/records-page.ts';

export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export type WindowPage =
  | { readonly kind: 'page'; readonly page: RecordsPage }
  /** What came since the last `part` comes again. */
  | { readonly kind: 'anew' }
  /** A part of the window has been read to its end: what came of it stands. */
  | { readonly kind: 'part' }
  /** As `part`, but not to its end: what was created in it holds something that cannot be read. */
  | { readonly kind: 'unreadable'; readonly window: Window }
  | { readonly kind: 'failed'; readonly reason: string };

export const pageSizeDefault = 500;
/** At this size a page holds transactions as large as a single one may be. */
const pageSizeMin = 16;
/** A window with more pages than this would hold 50 million transactions at the usual size: the cursor runs wild. */
const pagesMax = 100_000;
/** Halving an hour down to a millisecond takes 22 steps: enough for a dozen culprits, and for a hundred down to seconds. */
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
    } else if (ended !== 'spoilt') {
      return yield ended;
    } else if (isSmallest) {
      yield { kind: 'unreadable', window: part };
    } else {
      halvings += 1;
      yield { kind: 'anew' };
      parts.push(...halves(part));
    }
  }
}

/** With ever smaller pages where one is too large; one transaction a page is the last resort. */
async function* readPart(
  gateway: Gateway,
  part: Window,
  { pageSizeFirst, isSmallest }: { readonly pageSizeFirst: number; readonly isSmallest: boolean },
  signal: AbortSignal,
): AsyncGenerator<WindowPage, 'read' | 'spoilt' | Extract<WindowPage, { kind: 'failed' }>> {
  for (let pageSize = pageSizeFirst; ;) {
    const ended = yield* readPages(gateway, part, pageSize, signal);
    if (ended === 'damaged' && !isSmallest) return 'spoilt';
    if (ended !== 'damaged' && ended !== 'too-large') return ended;
    const sizeMin = isSmallest ? 1 : pageSizeMin;
    if (pageSize <= sizeMin) return 'spoilt';
    pageSize = ended === 'damaged' ? 1 : Math.max(Math.floor(pageSize / 2), sizeMin);
    yield { kind: 'anew' };
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
