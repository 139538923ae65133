// Renders a table from its columns; on small screens each row becomes a card, with the column names beside its cells.
import { html, type Content, type Html } from './html.ts';

export interface Column<Row> {
  readonly name: string;
  readonly isNumber?: boolean;
  readonly cell: (row: Row) => Content;
}

/** A checkbox before each row; undefined if a row cannot be selected. */
export type Checkbox<Row> = (
  row: Row,
) => { readonly name: string; readonly value: string; readonly label: string } | undefined;

const right = html`class="right"`;

export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], checkbox?: Checkbox<Row>): Html {
  return html`<table class="card rows">
    <thead>
      <tr>
        ${checkbox && html`<th class="narrow"><span class="hidden">Select</span></th>`}
        ${columns.map(({ name, isNumber }) => html`<th ${isNumber && right}>${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            ${checkbox && html`<td class="narrow">${checkboxOf(checkbox(row))}</td>`}
            ${columns.map(
              ({ name, isNumber, cell }) => html`<td data-label="${name}" ${isNumber && right}>${cell(row)}</td>`,
            )}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function checkboxOf(chosen: ReturnType<Checkbox<unknown>>): Html | undefined {
  return (
    chosen &&
    html`<input type="checkbox" name="${chosen.name}" value="${chosen.value}" aria-label="Select ${chosen.label}" />`
  );
}
