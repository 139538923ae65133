// A table of callbacks.
import type { CallbackRow } from '../../store/callbacks/callback-view.ts';
import { amountOf, nothing, relativeTo, timeAndAge } from './format.ts';
import { html, type Content, type Html } from './html.ts';
import { stateBadge } from './parts.ts';
import { table, type Column } from './table.ts';

export function callbackHref({ gatewayReference, brand }: { gatewayReference: string; brand: string }): string {
  return `/callbacks/${encodeURIComponent(gatewayReference)}?brand=${encodeURIComponent(brand)}`;
}

interface TableOptions {
  /** Each row has a checkbox that selects it. */
  readonly selectable?: boolean;
  /** The rows share one reference: each links to its own job. */
  readonly byJob?: boolean;
}

export function callbackTable(rows: readonly CallbackRow[], nowMs: number, options: TableOptions = {}): Html {
  const columns: Column<CallbackRow>[] = [
    { name: 'Received (UTC)', cell: ({ receivedAt }) => timeAndAge(receivedAt, nowMs) },
    { name: 'State', cell: (row) => stateCell(row, nowMs) },
    { name: 'Status', cell: ({ status }) => html`<span class="clip">${status ?? 'none'}</span>` },
    { name: 'Amount', isNumber: true, cell: ({ amount }) => amountOf(amount) },
    { name: 'Gateway’s reference', cell: (row) => referenceCell(row, options.byJob) },
    {
      name: 'Merchant’s reference',
      cell: ({ merchantReference }) =>
        merchantReference === null ? nothing : html`<span class="reference">${merchantReference}</span>`,
    },
  ];
  return table(columns, rows, options.selectable ? checkboxOf : undefined);
}

function checkboxOf({ brand, gatewayReference }: CallbackRow) {
  if (gatewayReference === null) return undefined;
  return { name: 'target', value: JSON.stringify([brand, gatewayReference]), label: gatewayReference };
}

function stateCell({ state, confirmed, nextAttemptAt, failedReason }: CallbackRow, nowMs: number): Content {
  return html`${stateBadge(state)} ${confirmed === 'denied' && html`<b class="bad toned">not real</b>`}
  ${state === 'superseded' && html`<br /><small>replaced by a correction</small>`}
  ${nextAttemptAt !== null && html`<br /><small>next ${relativeTo(nextAttemptAt, nowMs)}</small>`}
  ${failedReason !== null && html`<br /><small class="clip">${failedReason}</small>`}`;
}

function referenceCell({ gatewayReference, brand, jobId }: CallbackRow, byJob = false): Html {
  if (gatewayReference === null)
    return html`<span class="muted">not a callback: job</span> <span class="reference">${jobId}</span>`;
  const job = byJob && jobId !== null ? `&job=${encodeURIComponent(jobId)}` : '';
  return html`<a class="reference" href="${callbackHref({ gatewayReference, brand }) + job}">${gatewayReference}</a>`;
}
