// Tiles: one number each, with a name and a note.
import { html, type Content, type Html } from './html.ts';

export interface Tile {
  readonly name: string;
  /** A dash if it is unknown. */
  readonly value: Content;
  readonly note: string;
  /** A link to the details. */
  readonly href?: string;
  readonly tone?: 'warn' | 'bad' | '';
}

export function tiles(list: readonly Tile[]): Html {
  return html`<section class="grid" aria-label="Now">${list.map(tile)}</section>`;
}

function tile({ name, value, note, href, tone = '' }: Tile): Html {
  const inside = html`<small>${name}</small><strong class="number toned">${value ?? '–'}</strong
    ><small>${note}</small>`;
  return href === undefined
    ? html`<div class="card tile ${tone}">${inside}</div>`
    : html`<a class="card tile ${tone}" href="${href}">${inside}</a>`;
}
