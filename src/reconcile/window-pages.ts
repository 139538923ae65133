// The gateway's records of a window, page by page, with smaller pages where one is larger than a reply may be.
//
// A cursor keeps the size of its pages, and no order of the transactions is promised: so smaller pages mean the whole
// window anew, from its start, and who reads them is told. Ends after a failure.
import { describeFailure, type GatewayClient } from './gateway-client.ts';
import type { RecordsPage } from './transaction.ts';

export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export type WindowPage =
  | { readonly kind: 'page'; readonly page: RecordsPage }
  /** What came until now comes again. */
  | { readonly kind: 'anew'; readonly pageSize: number }
  | { readonly kind: 'failed'; readonly reason: string };

export const pageSizeDefault = 500;
/** At this size a page holds transactions as large as a single one may be; smaller pages are not asked for. */
const pageSizeMin = 16;
/** A window with more pages than this would hold 50 million transactions at the usual size: the cursor runs wild. */
const pagesMax = 100_000;

export async function* windowPages(
  gateway: Pick<GatewayClient, 'records' | 'nextRecords'>,
  window: Window,
  pageSizeFirst: number,
  signal: AbortSignal,
): AsyncGenerator<WindowPage> {
  let pageSize = pageSizeFirst;
  let cursor: string | undefined;
  const cursors = new Set<string>();
  for (let pages = 1; pages <= pagesMax; pages += 1) {
    const answer =
      cursor === undefined
        ? await gateway.records({ ...window, pageSize }, signal)
        : await gateway.nextRecords(cursor, signal);
    switch (answer.kind) {
      case 'page':
        if (answer.next !== undefined && cursors.has(answer.next)) return yield failed('cursor-repeats-itself');
        yield { kind: 'page', page: answer };
        if (answer.next === undefined) return;
        cursor = answer.next;
        cursors.add(cursor);
        break;
      case 'too-large':
        if (pageSize <= pageSizeMin) return yield failed(describeFailure(answer));
        pageSize = Math.max(Math.floor(pageSize / 2), pageSizeMin);
        cursor = undefined;
        cursors.clear();
        yield { kind: 'anew', pageSize };
        break;
      default:
        return yield failed(describeFailure(answer));
    }
  }
  yield failed('too-many-pages');
}

function failed(reason: string) {
  return { kind: 'failed', reason } as const;
}
