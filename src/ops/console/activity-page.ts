// Activity: what operators did, the audit trail's latest entries.
import type { AuditEntry } from '../audit.ts';
import { timeOf } from './format.ts';
import { html, type Content } from './html.ts';

export function activityPage(entries: readonly AuditEntry[]): Content {
  return html`<h1>Activity</h1>
    <p class="lead">What was changed by hand, by whom. The log has the same, for as long as you keep it.</p>
    ${
      entries.length === 0
        ? html`<p class="empty">Nobody has changed anything yet.</p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th>When (UTC)</th>
                <th>Who</th>
                <th>From</th>
                <th>Action</th>
                <th>Target</th>
                <th>Result</th>
              </tr>
            </thead>
            <tbody>
              ${entries.map(
                ({ at, by, via, address, action, target, result }) =>
                  html`<tr>
                    <td data-label="When">${timeOf(at)}</td>
                    <td data-label="Who">${by}${via !== undefined && html` <small>through ${via}</small>`}</td>
                    <td data-label="From">${address}</td>
                    <td data-label="Action">${action}</td>
                    <td data-label="Target"><span class="reference">${target}</span></td>
                    <td data-label="Result">${result}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }`;
}
