// Reconciliation: what the last sweeps found at the gateway.
import type { ReconciliationOverview } from '../reconciliation-overview.ts';
import { countOf, relativeTo, spanOf, timeOf } from './format.ts';
import { html, type Content } from './html.ts';

export function reconciliationPage(report: ReconciliationOverview, nowMs: number): Content {
  const { lastSuccess, pendingTooLong, openExpectations, sweeps, brands } = report;
  return html`<h1>Reconciliation</h1>
    <p class="lead">
      The gateway sends a callback once and never again. Sweeps read its records, hand in what never came and correct
      what differs.
    </p>
    <section class="tiles" aria-label="Now">
      <div class="tile">
        <span class="name">Last sweep</span
        ><strong>${lastSuccess === null ? 'none' : relativeTo(lastSuccess, nowMs)}</strong>
        <small>that ended well</small>
      </div>
      <div class="tile ${pendingTooLong > 0 && 'warn'}">
        <span class="name">Pending too long</span><strong>${countOf(pendingTooLong)}</strong><small>over an hour</small>
      </div>
      <div class="tile">
        <span class="name">Expected</span><strong>${countOf(openExpectations)}</strong
        ><small>callbacks still to come</small>
      </div>
      ${
        brands.length > 1 &&
        brands.map(
          ({ brand, checkpoint }) =>
            html`<div class="tile">
              <span class="name">${brand}</span>
              <strong>${checkpoint === null ? 'none' : relativeTo(checkpoint, nowMs)}</strong
              ><small>looked at up to</small>
            </div>`,
        )
      }
    </section>
    ${
      sweeps.length === 0
        ? html`<p class="empty">
            No sweep has run yet. Does a process run with the role <code>reconcile</code>, and is
            <code>GATEWAY_BASE_URL</code> set?
          </p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th>Began (UTC)</th>
                <th>Brand</th>
                <th>Window</th>
                <th class="right">Seen</th>
                <th class="right">Missing</th>
                <th class="right">Injected</th>
                <th class="right">Corrections</th>
                <th class="right">Reversed</th>
                <th class="right">Errors</th>
                <th class="right">Took</th>
                <th>Result</th>
              </tr>
            </thead>
            <tbody>
              ${sweeps.map(
                (sweep) =>
                  html`<tr>
                    <td data-label="Began">${timeOf(sweep.startedAt)}</td>
                    <td data-label="Brand">${sweep.brand}</td>
                    <td data-label="Window">${timeOf(sweep.from)} – ${timeOf(sweep.to)}</td>
                    <td data-label="Seen" class="right">${countOf(sweep.seen)}</td>
                    <td data-label="Missing" class="right">${countOf(sweep.missing)}</td>
                    <td data-label="Injected" class="right">${countOf(sweep.injected)}</td>
                    <td data-label="Corrections" class="right">${countOf(sweep.corrections)}</td>
                    <td data-label="Reversed" class="right">${countOf(sweep.reversed)}</td>
                    <td data-label="Errors" class="right">${countOf(sweep.errors)}</td>
                    <td data-label="Took" class="right">${spanOf(sweep.ms)}</td>
                    <td data-label="Result">
                      ${
                        sweep.failure === undefined
                          ? html`<span class="state delivered">done</span>`
                          : html`<span class="state failed">ended early</span> <small>${sweep.failure}</small>`
                      }
                    </td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }`;
}
