// Quarantine: what was refused though it carried a genuine key, and what contradicts a callback.
import type { QuarantineEntry, QuarantineSummary } from '../../intake/quarantine/quarantine.ts';
import { bytesOf, exactTimeOf, relativeTo, timeOf } from './format.ts';
import type { Asker } from '../api/permissions.ts';
import { html, type Content, type Html } from './html.ts';
import { confirm, withheld } from './layout.ts';
import { prettyJson } from './pretty-json.ts';

export interface QuarantineView {
  readonly entries: readonly QuarantineSummary[];
  readonly next: string | null;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

export function quarantinePage({ entries, next, nowMs, mayChange }: QuarantineView): Content {
  return html`<h1>Quarantine</h1>
    <p class="lead">
      Requests that carried a genuine key and were refused nevertheless, and callbacks that contradict an earlier one.
      The gateway does not send them again: look at each, then release or delete it.
    </p>
    ${entries.length === 0 ? html`<p class="empty good">Nothing is in quarantine.</p>` : mayChange ? bulkForm(entries, nowMs) : list(entries, nowMs, false)}
    <nav class="pages" aria-label="Pages">
      ${next !== null && html`<a rel="next" href="/quarantine?cursor=${encodeURIComponent(next)}">Older</a>`}
    </nav>`;
}

function bulkForm(entries: readonly QuarantineSummary[], nowMs: number): Html {
  return html`<form method="post" action="/quarantine/selected" class="bulk">
    <div class="actions">
      <button name="verb" value="release" class="primary">Release selected</button>
      ${confirm(
        'Delete selected',
        'They are deleted for good, with their bodies.',
        html`<button name="verb" value="delete" class="danger">Delete for good</button>`,
        'danger',
      )}
    </div>
    ${list(entries, nowMs, true)}
  </form>`;
}

function list(entries: readonly QuarantineSummary[], nowMs: number, selectable: boolean): Html {
  return html`<table class="rows">
    <thead>
      <tr>
        ${selectable && html`<th class="narrow"><span class="hidden">Select</span></th>`}
        <th>Received (UTC)</th>
        <th>Reason</th>
        <th>Gateway’s reference</th>
        <th>Brand</th>
        <th class="right">Size</th>
      </tr>
    </thead>
    <tbody>
      ${entries.map(
        ({ id, receivedAt, reason, detail, gatewayReference, brand, bytes }) =>
          html`<tr>
            ${
              selectable &&
              html`<td class="narrow">
                <input type="checkbox" name="id" value="${id}" aria-label="Select the entry received ${receivedAt}" />
              </td>`
            }
            <td data-label="Received">
              <a href="/quarantine/${encodeURIComponent(id)}">${timeOf(receivedAt)}</a><br /><small
                >${relativeTo(receivedAt, nowMs)}</small
              >
            </td>
            <td data-label="Reason"><b>${reason}</b><br /><small>${detail}</small></td>
            <td data-label="Gateway’s reference"><span class="reference">${gatewayReference ?? 'none'}</span></td>
            <td data-label="Brand">${brand}</td>
            <td data-label="Size" class="right">${bytesOf(bytes)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

export function quarantineEntryPage(entry: QuarantineEntry, { mayReveal, mayChange }: Asker): Content {
  return html`<p><a href="/quarantine">Quarantine</a></p>
    <h1>${entry.reason}</h1>
    <p class="lead">${entry.detail}</p>
    <div class="columns">
      <div>
        <section class="card">
          <h2>What it said</h2>
          ${mayReveal ? prettyJson(entry.body.toString('utf8')) : withheld('The body')}
        </section>
        <section class="card">
          <h2>Headers</h2>
          <dl class="facts">
            ${Object.entries(entry.headers).map(
              ([name, value]) =>
                html`<dt>${name}</dt>
                  <dd>${value}</dd>`,
            )}
          </dl>
        </section>
      </div>
      <aside>
        <section class="card">
          <h2>Facts</h2>
          <dl class="facts">
            <dt>Received</dt>
            <dd>${exactTimeOf(entry.receivedAt)}</dd>
            <dt>Gateway’s reference</dt>
            <dd>
              ${
                entry.gatewayReference === null
                  ? 'none'
                  : html`<a class="reference" href="/callbacks/${encodeURIComponent(entry.gatewayReference)}"
                      >${entry.gatewayReference}</a
                    >`
              }
            </dd>
            <dt>Brand</dt>
            <dd>${entry.brand}</dd>
            <dt>Request</dt>
            <dd class="reference">${entry.requestId}</dd>
          </dl>
        </section>
        ${mayChange && entryActions(entry)}
      </aside>
    </div>`;
}

function entryActions(entry: QuarantineEntry): Html {
  const action = (verb: string) => `/quarantine/${encodeURIComponent(entry.id)}/${verb}`;
  return html`<section class="card">
    <h2>Actions</h2>
    <form method="post" action="${action('release')}" class="stack">
      ${
        entry.gatewayReference === null &&
        html`<label>Gateway’s reference <input name="gatewayReference" maxlength="255" required /></label>`
      }
      <button class="primary">${entry.reason === 'conflict' ? 'Release as a correction' : 'Release'}</button>
    </form>
    ${confirm(
      'Delete',
      'It is deleted for good, with its body.',
      html`<form method="post" action="${action('delete')}">
        <button class="danger">Delete for good</button>
      </form>`,
      'danger',
    )}
  </section>`;
}
