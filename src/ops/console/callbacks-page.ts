// The list of callbacks: filters, pages, and on the page Failed the actions for many at once.
import * as z from 'zod';
import { confirmations } from '../../callback/confirmation.ts';
import { amountFilters } from '../../callback/amount-check.ts';
import { callbackStates, type CallbackRow } from '../../store/callbacks/callback-view.ts';
import { callbackTable } from './callback-table.ts';
import { html, type Content, type Html } from './html.ts';
import { bulkForm, confirm, pageLinks } from './parts.ts';

export interface CallbacksView {
  /** As in the address. */
  readonly filters: Filters;
  readonly rows: readonly CallbackRow[];
  readonly next: string | null;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Forms send every field, even empty ones. */
const filled = z
  .string()
  .optional()
  .transform((value) => value?.trim() || undefined);

export const filtersSchema = z.object({
  state: filled.pipe(z.enum(callbackStates).optional().catch(undefined)),
  status: filled,
  confirmed: filled.pipe(z.enum(confirmations).optional().catch(undefined)),
  amountCheck: filled.pipe(z.enum(amountFilters).optional().catch(undefined)),
  merchantReference: filled,
  from: filled,
  to: filled,
  cursor: filled,
});
type Filters = Partial<z.infer<typeof filtersSchema>>;

export function callbacksPage({ filters, rows, next, nowMs, mayChange }: CallbacksView): Content {
  const isFailed = filters.state === 'failed';
  return html`<header>
      <h1>${isFailed ? 'Failed callbacks' : 'Callbacks'}</h1>
      ${
        isFailed &&
        html`<p class="muted">
          These used up their retries. They are kept, with their bodies, until you replay them or retention ends. Fix
          the cause first, then replay.
        </p>`
      }
    </header>
    ${filterForm(filters)}
    ${rows.length === 0 ? nothing(filters, next) : isFailed && mayChange ? replayForm(rows, nowMs) : callbackTable(rows, nowMs)}
    ${pageLinks({
      newest: filters.cursor !== undefined && hrefOf({ ...filters, cursor: undefined }),
      older: next !== null && hrefOf({ ...filters, cursor: next }),
    })}`;
}

function hrefOf(filters: Filters): string {
  const query = new URLSearchParams(
    Object.entries(filters).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  return `/callbacks?${query.toString()}`;
}

function select(name: string, values: readonly string[], chosen: string | undefined): Html {
  return html`<select name="${name}">
    <option value="">any</option>
    ${values.map((value) => html`<option value="${value}" ${value === chosen ? html`selected` : ''}>${value}</option>`)}
  </select>`;
}

function filterForm({ state, status, confirmed, amountCheck, merchantReference, from, to }: Filters): Html {
  return html`<form class="grid" action="/callbacks">
    <label> State ${select('state', callbackStates, state)} </label>
    <label>Confirmed ${select('confirmed', confirmations, confirmed)}</label>
    <label>Amount ${select('amountCheck', amountFilters, amountCheck)}</label>
    <label>Status <input name="status" value="${status}" placeholder="success" spellcheck="false" /></label>
    <label
      >Merchant’s reference <input name="merchantReference" value="${merchantReference}" spellcheck="false"
    /></label>
    <label>From (UTC) <input name="from" type="datetime-local" value="${from}" /></label>
    <label>To (UTC) <input name="to" type="datetime-local" value="${to}" /></label>
    <div class="row"><button>Show</button> <a class="button" href="/callbacks">Reset</a></div>
  </form>`;
}

function nothing(filters: Filters, next: string | null): Html {
  if (next !== null) return html`<p class="card muted">Nothing on this page; older ones may match.</p>`;
  if (filters.state === 'held') return html`<p class="card muted">No callback is held. Nothing to do here.</p>`;
  if (filters.state === 'failed')
    return html`<p class="card muted">
      No delivery to the shop has failed. Nothing to do here. Payments that failed are found by their status.
    </p>`;
  return html`<p class="card muted">No callback matches.</p>`;
}

function replayForm(rows: readonly CallbackRow[], nowMs: number): Html {
  return bulkForm(
    '/failed/replay',
    html`<button name="which" value="selected" class="primary">Replay selected</button> ${confirm(
        'Replay all failed',
        'Every failed callback on every page is delivered again, throttled, under the same webhook-id.',
        html`<button name="which" value="all">Replay all</button>`,
      )}`,
    callbackTable(rows, nowMs, { selectable: true }),
  );
}
