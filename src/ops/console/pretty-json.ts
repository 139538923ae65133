// Formats a body for reading, token by token: everything appears as written, numbers to the last digit and strings with their
// escapes. Text that is not JSON is shown unchanged.
import { html, type Html } from './html.ts';
import { parseJson, withoutByteOrderMark } from '../../callback/json-text.ts';

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
/** Deeper levels are not indented further; a hostile body could be all brackets. */
const indentsMax = 20;
/** Longer bodies are shown unchanged: markup for every token would be many times their size. */
const charactersMax = 100_000;

export function prettyJson(body: string): Html {
  if (body.length > charactersMax || parseJson(withoutByteOrderMark(body)) === undefined)
    return html`<pre class="body" tabindex="0">${body}</pre>`;
  return html`<pre class="body" tabindex="0">${layOut(body)}</pre>`;
}

function layOut(body: string): Html[] {
  const tokens = body.match(token) ?? [];
  const parts: Html[] = [];
  let depth = 0;
  for (const [at, text] of tokens.entries()) {
    const next = tokens[at + 1];
    const isEmpty = (text === '{' && next === '}') || (text === '[' && next === ']');
    if ((text === '}' || text === ']') && !isOpening(tokens[at - 1])) {
      depth -= 1;
      parts.push(lineBreak(depth));
    }
    parts.push(mark(text, next === ':'));
    if (isOpening(text) && !isEmpty) {
      depth += 1;
      parts.push(lineBreak(depth));
    }
    if (text === ',') parts.push(lineBreak(depth));
    if (text === ':') parts.push(html`${' '}`);
  }
  return parts;
}

function isOpening(text: string | undefined): boolean {
  return text === '{' || text === '[';
}

function lineBreak(depth: number): Html {
  return html`${`\n${'  '.repeat(Math.min(Math.max(depth, 0), indentsMax))}`}`;
}

function mark(text: string, isName: boolean): Html {
  if (isName) return html`<span class="muted">${text}</span>`;
  if (text.startsWith('"')) return html`<span class="good toned">${text}</span>`;
  return /^[-\dtfn]/.test(text) ? html`<span class="warn toned">${text}</span>` : html`${text}`;
}
