// HTML that is escaped by construction: every value in a template is text, unless `html` made it.

/** Only `html` makes it, so that no string can pass as HTML. */
export interface Html {
  readonly [made]: string;
}

const made = Symbol('html');

export type Content = Html | string | number | undefined | null | false | readonly Content[];

/** html`<b>${name}</b>`: values are escaped, arrays joined, undefined, null and false left out. Quote attributes. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return { [made]: strings.reduce((text, part, at) => text + render(values[at - 1]) + part) };
}

export function toText(page: Html): string {
  return page[made];
}

function render(value: Content): string {
  if (value === undefined || value === null || value === false) return '';
  if (typeof value === 'string') return escapeText(value);
  if (typeof value === 'number') return String(value);
  return isHtml(value) ? value[made] : value.map(render).join('');
}

function isHtml(value: Html | readonly Content[]): value is Html {
  return made in value;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeText(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}
