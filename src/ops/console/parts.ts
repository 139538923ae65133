// Parts that several pages share: cards, facts, badges, and the forms that change something.
import type { CallbackState } from '../../store/callbacks/callback-view.ts';
import { stateTones } from '../state-tones.ts';
import { html, type Content, type Html } from './html.ts';

export function card(title: string, content: Content, tone: 'warn' | '' = ''): Html {
  return html`<section class="card ${tone}">
    <h2>${title}</h2>
    ${content}
  </section>`;
}

/** Names and values; a value that is null or false is omitted with its name. */
export function factList(facts: readonly (readonly [name: string, value: Content])[]): Html {
  return html`<dl>
    ${facts.map(
      ([name, value]) =>
        value !== null &&
        value !== false &&
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`;
}

export function stateBadge(state: CallbackState): Html {
  return html`<span class="pill ${stateTones[state]}">${state}</span>`;
}

/** Shown instead of what this token may not see. */
export function withheld(what: string): Html {
  return html`<p class="card muted">${what} may hold personal data, and is not shown to this token.</p>`;
}

export function postForm(action: string, label: string, look: 'primary' | 'bad primary' | '' = ''): Html {
  return html`<form method="post" action="${action}"><button class="${look}">${label}</button></form>`;
}

/** A button that asks first, even without a script: the disclosure contains the button that acts. */
export function confirm(label: string, question: Content, form: Html, tone: 'bad' | '' = ''): Html {
  return html`<details class="confirm">
    <summary class="button ${tone === 'bad' && 'bad toned'}">${label}</summary>
    <div class="card ask">
      <p>${question}</p>
      ${form}
    </div>
  </details>`;
}

/** Actions on the selected rows of the table. */
export function bulkForm(action: string, buttons: Content, rows: Html): Html {
  return html`<form method="post" action="${action}" class="stack">
    <div class="row">${buttons}</div>
    ${rows}
  </form>`;
}

/** Links to the neighbouring pages of a list, if there are any. */
export function pageLinks({ newest, older }: { newest?: string | false; older: string | false }): Html {
  return html`<nav class="row" aria-label="Pages">
    ${newest && html`<a href="${newest}">Newest</a>`} ${older && html`<a rel="next" href="${older}">Older</a>`}
  </nav>`;
}
