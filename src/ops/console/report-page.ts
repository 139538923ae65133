// The report for finance: a period, totals, a bar for each day, and the same as CSV.
import { reportKeys, type ReportKey, type ReportTotal } from '../../store/report/report-totals.ts';
import { totalCells, totalHead } from '../../store/report/report-columns.ts';
import type { Report } from '../api/report-routes.ts';
import { barChart } from './charts.ts';
import { html, type Content, type Html } from './html.ts';

export interface ReportView {
  /** `2026-01-31`, UTC. */
  readonly from: string;
  /** Of the last day, inclusive. */
  readonly to: string;
  readonly by: readonly ReportKey[];
  /** By day, for the chart; undefined where there is none. */
  readonly days?: readonly ReportTotal[] | undefined;
  readonly report?: Report | undefined;
  /** Why there is none. */
  readonly refused?: string | undefined;
}

export function reportPage({ from, to, by, days, report, refused }: ReportView): Content {
  return html`<h1>Report</h1>
    <p class="lead">
      What the gateway’s records hold for transactions created in the period, and beside it what was received and
      delivered here. Gross, fees and net are those of transactions that succeeded, exact.
    </p>
    <form class="filters" action="/report">
      <label>From (UTC) <input name="from" type="date" value="${from}" required /></label>
      <label>To, inclusive <input name="to" type="date" value="${to}" required /></label>
      ${reportKeys
        .filter((key) => key !== 'currency')
        .map(
          (key) =>
            html`<label class="choice"
              ><input name="by" type="checkbox" value="${key}" ${by.includes(key) ? html`checked` : ''} /> by
              ${key}</label
            >`,
        )}
      <button>Show</button>
    </form>
    ${refused !== undefined && html`<p class="empty">${refused}</p>`} ${report !== undefined && totals(report, by)}
    ${days !== undefined && days.length > 0 && chart(days)} ${report !== undefined && downloads(report, by)}`;
}

function totals({ data, failures, denied }: Report, by: readonly ReportKey[]): Html {
  if (data.length === 0) return html`<p class="empty">The gateway has no transaction of this period.</p>`;
  return html`<h2>Totals</h2>
    ${table(
      totalHead(by),
      data.map((line) => totalCells(by, line)),
    )}
    ${denied > 0 && html`<p><b>${denied}</b> callbacks of the period are denied: the gateway does not know them.</p>`}
    ${
      failures.length > 0 &&
      html`<h2>Why transactions failed</h2>
        ${table(
          ['reason', 'count'],
          failures.map(({ errorCode, count }) => [errorCode === '' ? 'no reason given' : errorCode, count]),
        )}`
    }`;
}

function table(head: readonly string[], lines: readonly (readonly (string | number | null)[])[]): Html {
  return html`<div class="wide">
    <table class="rows">
      <thead>
        <tr>
          ${head.map((name) => html`<th class="${alignedAs(name)}">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${lines.map(
          (cells) =>
            html`<tr>
              ${cells.map(
                (cell, at) =>
                  html`<td class="${alignedAs(head[at] ?? '')}" data-label="${head[at]}">${cell ?? ''}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

const texts: ReadonlySet<string> = new Set([...reportKeys, 'type', 'reason']);

function alignedAs(column: string): 'left' | 'right' {
  return texts.has(column) ? 'left' : 'right';
}

function chart(days: readonly ReportTotal[]): Html {
  const byDay = [...Map.groupBy(days, ({ day = '' }) => day)];
  const sum = (field: 'succeeded' | 'failed') =>
    byDay.map(([, lines]) => lines.reduce((total, line) => total + line[field], 0));
  const axis = { first: byDay[0]?.[0] ?? '', last: byDay.at(-1)?.[0] ?? '', per: 'day' };
  const series = [
    { className: 'delivered', name: 'succeeded', values: sum('succeeded') },
    { className: 'failed', name: 'failed', values: sum('failed') },
  ] as const;
  return html`<section class="charts" aria-label="By day">
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
