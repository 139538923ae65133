// Tiles: a number each, and what it says.
import { html, type Content, type Html } from './html.ts';

export interface Tile {
  readonly name: string;
  /** A dash where it is not known. */
  readonly value: Content;
  readonly note: string;
  /** Where more of it is. */
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
