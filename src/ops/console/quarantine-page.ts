// The page Quarantine: refused requests that carried a genuine key, and callbacks that contradict an earlier one.
import type { QuarantineEntry, QuarantineSummary } from '../../intake/quarantine/quarantine.ts';
import { bytesOf, exactTimeOf, timeAndAge } from './format.ts';
import type { Asker } from '../api/permissions.ts';
import { html, type Content, type Html } from './html.ts';
import { bulkForm, card, confirm, factList, pageLinks, postForm, withheld } from './parts.ts';
import { prettyJson } from './pretty-json.ts';
import { table, type Column } from './table.ts';

export interface QuarantineView {
  readonly entries: readonly QuarantineSummary[];
  readonly next: string | null;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

export function quarantinePage({ entries, next, nowMs, mayChange }: QuarantineView): Content {
  return html`<header>
      <h1>Quarantine</h1>
      <p class="muted">
        Requests that carried a genuine key and were refused nevertheless, and callbacks that contradict an earlier one.
        The gateway does not send them again: look at each, then release or delete it.
      </p>
    </header>
    ${entries.length === 0 ? html`<p class="card muted">Nothing is in quarantine.</p>` : mayChange ? selectForm(entries, nowMs) : list(entries, nowMs)}
    ${pageLinks({ older: next !== null && `/quarantine?cursor=${encodeURIComponent(next)}` })}`;
}

function selectForm(entries: readonly QuarantineSummary[], nowMs: number): Html {
  return bulkForm(
    '/quarantine/selected',
    html`<button name="verb" value="release" class="primary">Release selected</button> ${confirm(
        'Delete selected',
        'They are deleted for good, with their bodies.',
        html`<button name="verb" value="delete" class="bad primary">Delete for good</button>`,
        'bad',
      )}`,
    list(entries, nowMs, checkboxOf),
  );
}

function checkboxOf({ id, receivedAt }: QuarantineSummary) {
  return { name: 'id', value: id, label: `the entry received ${receivedAt}` };
}

function list(entries: readonly QuarantineSummary[], nowMs: number, checkbox?: typeof checkboxOf): Html {
  const columns: Column<QuarantineSummary>[] = [
    {
      name: 'Received (UTC)',
      cell: ({ id, receivedAt }) =>
        html`<a href="/quarantine/${encodeURIComponent(id)}">${timeAndAge(receivedAt, nowMs)}</a>`,
    },
    { name: 'Reason', cell: ({ reason, detail }) => html`<b>${reason}</b><br /><small>${detail}</small>` },
    {
      name: 'Gateway’s reference',
      cell: ({ gatewayReference }) => html`<span class="reference">${gatewayReference ?? 'none'}</span>`,
    },
    { name: 'Brand', cell: ({ brand }) => brand },
    { name: 'Size', isNumber: true, cell: ({ bytes }) => bytesOf(bytes) },
  ];
  return table(columns, entries, checkbox);
}

export function quarantineEntryPage(entry: QuarantineEntry, { mayReveal, mayChange }: Asker): Content {
  return html`<header>
      <p><a href="/quarantine">Quarantine</a></p>
      <h1>${entry.reason}</h1>
      <p class="muted">${entry.detail}</p>
    </header>
    <div class="columns">
      <aside class="stack">${card('Facts', facts(entry))} ${mayChange && card('Actions', actions(entry))}</aside>
      <div class="stack">
        ${card('Body', mayReveal ? prettyJson(entry.body.toString('utf8')) : withheld('The body'))}
        ${card('Headers', factList(Object.entries(entry.headers).map(([name, value]) => [name, value])))}
      </div>
    </div>`;
}

function facts({ receivedAt, gatewayReference, brand, requestId }: QuarantineEntry): Html {
  return factList([
    ['Received', exactTimeOf(receivedAt)],
    [
      'Gateway’s reference',
      gatewayReference === null
        ? 'none'
        : html`<a class="reference" href="/callbacks/${encodeURIComponent(gatewayReference)}">${gatewayReference}</a>`,
    ],
    ['Brand', brand],
    ['Request', html`<span class="reference">${requestId}</span>`],
  ]);
}

function actions(entry: QuarantineEntry): Html {
  const action = (verb: string) => `/quarantine/${encodeURIComponent(entry.id)}/${verb}`;
  return html`<form method="post" action="${action('release')}">
      ${
        entry.gatewayReference === null &&
        html`<label>Gateway’s reference <input name="gatewayReference" maxlength="255" required /></label>`
      }
      <button class="primary">${entry.reason === 'conflict' ? 'Release as a correction' : 'Release'}</button>
    </form>
    ${confirm('Delete', 'It is deleted for good, with its body.', postForm(action('delete'), 'Delete for good', 'bad primary'), 'bad')}`;
}
