// The page Reconciliation: the results of the last sweeps.
import type { ReconciliationOverview } from '../reconciliation-overview.ts';
import { countOf, relativeTo, spanOf, timeOf } from './format.ts';
import { html, type Content, type Html } from './html.ts';
import { table, type Column } from './table.ts';
import { tiles } from './tiles.ts';

type Sweep = ReconciliationOverview['sweeps'][number];
type Count = 'seen' | 'missing' | 'injected' | 'corrections' | 'reversed' | 'errors';

const columns: readonly Column<Sweep>[] = [
  { name: 'Began (UTC)', cell: ({ startedAt }) => timeOf(startedAt) },
  { name: 'Brand', cell: ({ brand }) => brand },
  { name: 'Window (UTC)', cell: ({ from, to }) => html`${timeOf(from)} – ${timeOf(to)}` },
  countColumn('Seen', 'seen'),
  countColumn('Missing', 'missing'),
  countColumn('Injected', 'injected'),
  countColumn('Corrections', 'corrections'),
  countColumn('Reversed', 'reversed'),
  countColumn('Errors', 'errors'),
  { name: 'Took', isNumber: true, cell: ({ ms }) => spanOf(ms) },
  { name: 'Result', cell: resultOf },
];

function countColumn(name: string, count: Count): Column<Sweep> {
  return { name, isNumber: true, cell: (sweep) => countOf(sweep[count]) };
}

function resultOf({ failure }: Sweep): Html {
  return failure === undefined
    ? html`<span class="pill good">done</span>`
    : html`<span class="pill bad">ended early</span> <small>${failure}</small>`;
}

export function reconciliationPage(report: ReconciliationOverview, nowMs: number): Content {
  const { lastSuccess, pendingTooLong, openExpectations, sweeps, brands } = report;
  const ago = (iso: string | null) => (iso === null ? 'none' : relativeTo(iso, nowMs));
  return html`<header>
      <h1>Reconciliation</h1>
      <p class="muted">
        The gateway sends a callback once and never again. Sweeps read its records, inject what never arrived and
        correct what differs.
      </p>
    </header>
    ${tiles([
      { name: 'Last sweep', value: ago(lastSuccess), note: 'that succeeded' },
      {
        name: 'Pending too long',
        value: countOf(pendingTooLong),
        note: 'over an hour',
        tone: pendingTooLong > 0 ? 'warn' : '',
      },
      { name: 'Expected', value: countOf(openExpectations), note: 'callbacks still to come' },
      ...(brands.length > 1 ? brands : []).map(({ brand, checkpoint }) => ({
        name: brand,
        value: ago(checkpoint),
        note: 'checked up to',
      })),
    ])}
    ${
      sweeps.length === 0
        ? html`<p class="card muted">
            No sweep has run yet. Does a process run with the role <code>reconcile</code>, and is
            <code>GATEWAY_BASE_URL</code> set?
          </p>`
        : table(columns, sweeps)
    }`;
}
