// The report for finance: a period, totals, a bar for each day, and the same as CSV.
import { reportKeys, type ReportKey, type ReportTotal } from '../../store/report/report-totals.ts';
import { totalCells, totalHead } from '../../store/report/report-columns.ts';
import type { Report } from '../api/report-routes.ts';
import { barChart } from './charts.ts';
import { html, type Content, type Html } from './html.ts';
import { table } from './table.ts';

export interface ReportView {
  /** `2026-01-31`, UTC. */
  readonly from: string;
  /** The last day, inclusive. */
  readonly to: string;
  readonly by: readonly ReportKey[];
  /** By day, for the chart; undefined without one. */
  readonly days?: readonly ReportTotal[] | undefined;
  readonly report?: Report | undefined;
  /** Why there is no report. */
  readonly refused?: string | undefined;
}

export function reportPage({ from, to, by, days, report, refused }: ReportView): Content {
  return html`<header>
      <h1>Report</h1>
      <p class="muted">
        What the gateway’s records hold for transactions created in the period, and beside it what was received and
        delivered here. Gross, fees and net are those of transactions that succeeded, exact.
      </p>
    </header>
    <form class="grid" action="/report">
      <label>From (UTC) <input name="from" type="date" value="${from}" required /></label>
      <label>To, inclusive <input name="to" type="date" value="${to}" required /></label>
      ${reportKeys
        .filter((key) => key !== 'currency')
        .map(
          (key) =>
            html`<label class="row"
              ><input name="by" type="checkbox" value="${key}" ${by.includes(key) ? html`checked` : ''} /> by
              ${key}</label
            >`,
        )}
      <button>Show</button>
    </form>
    ${refused !== undefined && html`<p class="card muted">${refused}</p>`} ${report !== undefined && totals(report, by)}
    ${days !== undefined && days.length > 0 && chart(days)} ${report !== undefined && downloads(report, by)}`;
}

function totals({ data, failures, denied }: Report, by: readonly ReportKey[]): Html {
  if (data.length === 0) return html`<p class="card muted">The gateway has no transaction of this period.</p>`;
  return html`<h2>Totals</h2>
    ${cellTable(
      totalHead(by),
      data.map((line) => totalCells(by, line)),
    )}
    ${denied > 0 && html`<p><b>${denied}</b> callbacks of the period are denied: the gateway does not know them.</p>`}
    ${
      failures.length > 0 &&
      html`<h2>Why transactions failed</h2>
        ${cellTable(
          ['reason', 'count'],
          failures.map(({ errorCode, count }) => [errorCode === '' ? 'no reason given' : errorCode, count]),
        )}`
    }`;
}

type Cells = readonly (string | number | null)[];

function cellTable(head: readonly string[], lines: readonly Cells[]): Html {
  const columns = head.map((name, at) => ({
    name,
    isNumber: !texts.has(name),
    cell: (cells: Cells) => cells[at] ?? '',
  }));
  return html`<div class="wide">${table(columns, lines)}</div>`;
}

const texts: ReadonlySet<string> = new Set([...reportKeys, 'type', 'reason']);

function chart(days: readonly ReportTotal[]): Html {
  const byDay = [...Map.groupBy(days, ({ day = '' }) => day)];
  const sum = (field: 'succeeded' | 'failed') =>
    byDay.map(([, lines]) => lines.reduce((total, line) => total + line[field], 0));
  const axis = { first: byDay[0]?.[0] ?? '', last: byDay.at(-1)?.[0] ?? '', per: 'day' };
  const series = [
    { className: 'delivered', name: 'succeeded', values: sum('succeeded') },
    { className: 'failed', name: 'failed', values: sum('failed') },
  ] as const;
  return html`<section class="grid charts" aria-label="By day">
    ${barChart(`Transactions per day, ${axis.first} to ${axis.last}`, series, axis)}
  </section>`;
}

function downloads({ from, to }: Report, by: readonly ReportKey[]): Html {
  const query = new URLSearchParams({ from, to, by: by.length > 0 ? by.join(',') : 'currency' }).toString();
  return html`<p>
    <a class="button" href="/v1/report.csv?${query}">Totals as CSV</a>
    <a class="button" href="/v1/report.csv?${query}&amp;transactions=true">Each transaction as CSV</a>
  </p>`;
}
