// Callbacks as a table; on small screens each row becomes a card.
import type { CallbackRow } from '../../store/callbacks/callback-view.ts';
import { amountOf, relativeTo, timeOf } from './format.ts';
import { html, type Html } from './html.ts';
import { stateBadge } from './layout.ts';

export function callbackHref({ gatewayReference, brand }: { gatewayReference: string; brand: string }): string {
  return `/callbacks/${encodeURIComponent(gatewayReference)}?brand=${encodeURIComponent(brand)}`;
}

interface TableOptions {
  /** Each row has a checkbox that names it. */
  readonly selectable?: boolean;
  /** The rows are of one reference: each leads to its own job. */
  readonly byJob?: boolean;
}

export function callbackTable(rows: readonly CallbackRow[], nowMs: number, options: TableOptions = {}): Html {
  const { selectable = false } = options;
  return html`<table class="rows">
    <thead>
      <tr>
        ${selectable && html`<th class="narrow"><span class="hidden">Select</span></th>`}
        <th>Received (UTC)</th>
        <th>State</th>
        <th>Status</th>
        <th class="right">Amount</th>
        <th>Gateway’s reference</th>
        <th>Merchant’s reference</th>
      </tr>
    </thead>
    <tbody>
      ${rows.map((row) => tableRow(row, nowMs, options))}
    </tbody>
  </table>`;
}

function tableRow(row: CallbackRow, nowMs: number, { selectable = false, byJob = false }: TableOptions): Html {
  const { gatewayReference, merchantReference, brand, jobId } = row;
  return html`<tr>
    ${
      selectable &&
      html`<td class="narrow">
        ${
          gatewayReference !== null &&
          html`<input
            type="checkbox"
            name="target"
            value="${JSON.stringify([brand, gatewayReference])}"
            aria-label="Select ${gatewayReference}"
          />`
        }
      </td>`
    }
    <td data-label="Received">${timeOf(row.receivedAt)}<br /><small>${relativeTo(row.receivedAt, nowMs)}</small></td>
    <td data-label="State">
      ${stateBadge(row.state)} ${row.confirmed === 'denied' && html`<b class="denied">not real</b>`}
      ${row.nextAttemptAt !== null && html`<br /><small>next ${relativeTo(row.nextAttemptAt, nowMs)}</small>`}
      ${row.failedReason !== null && html`<br /><small class="reason clip">${row.failedReason}</small>`}
    </td>
    <td data-label="Status"><span class="clip">${row.status ?? 'none'}</span></td>
    <td data-label="Amount" class="right">${amountOf(row.amount)}</td>
    <td data-label="Gateway’s reference">
      ${
        gatewayReference === null
          ? html`<span class="muted">no callback: job</span> <span class="reference">${jobId}</span>`
          : html`<a
              class="reference"
              href="${callbackHref({ gatewayReference, brand })}${byJob && jobId !== null && `&job=${encodeURIComponent(jobId)}`}"
              >${gatewayReference}</a
            >`
      }
    </td>
    <td data-label="Merchant’s reference">
      ${
        merchantReference === null
          ? html`<span class="muted">–</span>`
          : html`<span class="reference">${merchantReference}</span>`
      }
    </td>
  </tr>`;
}
