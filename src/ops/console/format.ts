// Formats times, durations, counts and sizes for the console. Times are UTC, the clock that the gateway, the merchant and the
// log share.
import { html, type Html } from './html.ts';

/** Shown for a missing value. */
export const nothing = html`<span class="muted">–</span>`;

export function timeOf(iso: string): Html {
  return html`<time datetime="${iso}">${iso.slice(0, 10)} <b>${iso.slice(11, 19)}</b></time>`;
}

/** For tables. */
export function timeAndAge(iso: string, nowMs: number): Html {
  return html`${timeOf(iso)}<br /><small>${relativeTo(iso, nowMs)}</small>`;
}

/** With milliseconds, for timelines. */
export function exactTimeOf(iso: string): Html {
  return html`<time datetime="${iso}">${iso.slice(0, 10)} <b>${iso.slice(11, 23)}</b> UTC</time>`;
}

/** `just now`, `3 min ago`, `in 2 h`. */
export function relativeTo(iso: string, nowMs: number): string {
  const ms = nowMs - Date.parse(iso);
  const span = spanOf(Math.abs(ms));
  if (Math.abs(ms) < 5_000) return 'just now';
  return ms > 0 ? `${span} ago` : `in ${span}`;
}

/** The two largest units at most: `3 d 4 h`, `12 min`, `8 s`, `12 ms`. */
export function spanOf(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 10 ? `${minutes} min${rest(seconds % 60, 's')}` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h${rest(minutes % 60, 'min')}`;
  return `${Math.floor(hours / 24)} d${rest(hours % 24, 'h')}`;
}

function rest(count: number, unit: string): string {
  return count === 0 ? '' : ` ${count} ${unit}`;
}

/** `1 234 567`, with narrow spaces. */
export function countOf(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, '\u202F');
}

export function bytesOf(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power] ?? 'B'}`;
}

export function amountOf(amount: { readonly value: string; readonly currency: string } | null): Html {
  if (amount === null) return nothing;
  return html`<b class="number clip">${amount.value} <small>${amount.currency}</small></b>`;
}
