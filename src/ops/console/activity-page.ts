// The page Activity: the latest entries of the audit trail.
import type { AuditEntry } from '../audit.ts';
import { timeOf } from './format.ts';
import { html, type Content } from './html.ts';
import { table, type Column } from './table.ts';

const columns: readonly Column<AuditEntry>[] = [
  { name: 'When (UTC)', cell: ({ at }) => timeOf(at) },
  { name: 'Who', cell: ({ by, via }) => [by, via !== undefined && html` <small>through ${via}</small>`] },
  { name: 'From', cell: ({ address }) => address },
  { name: 'Action', cell: ({ action }) => action },
  { name: 'Target', cell: ({ target }) => html`<span class="reference">${target}</span>` },
  { name: 'Result', cell: ({ result }) => result },
];

export function activityPage(entries: readonly AuditEntry[]): Content {
  return html`<header>
      <h1>Activity</h1>
      <p class="muted">Changes by operators. The log has the same entries, for as long as you keep it.</p>
    </header>
    ${entries.length === 0 ? html`<p class="card muted">Nobody has changed anything yet.</p>` : table(columns, entries)}`;
}
