// The frame of every page: navigation, search, notices. Pages work without a script; browser.js adds refreshing, the `/` key
// and copying.
import type { Asker } from '../api/permissions.ts';
import { packageHomepage, packageVersion } from '../../telemetry/package-version.ts';
import { html, toText, type Content, type Html } from './html.ts';

const [version, documents] = [packageVersion(), packageHomepage()];

const tabs = [
  { href: '/', name: 'Overview' },
  { href: '/callbacks', name: 'Callbacks' },
  { href: '/callbacks?state=failed', name: 'Failed' },
  { href: '/quarantine', name: 'Quarantine' },
  { href: '/reconciliation', name: 'Reconciliation' },
  { href: '/report', name: 'Report' },
  { href: '/activity', name: 'Activity' },
] as const;
export type Tab = (typeof tabs)[number]['name'];

export interface Notice {
  readonly tone: 'good' | 'bad';
  readonly text: string;
}

export interface Page {
  readonly title: string;
  readonly tab?: Tab | undefined;
  readonly content: Content;
  readonly notice?: Notice | undefined;
  readonly search?: string | undefined;
  /** How often the script reloads the page, in seconds; 0 never. */
  readonly refreshSeconds?: number;
  readonly badges?: Partial<Record<Tab, number>>;
  readonly asker?: Asker;
}

export function layout(page: Page): string {
  const { title, tab, content, notice, search = '', refreshSeconds = 0, badges = {}, asker } = page;
  return toText(
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <title>${title} · payalo-receiver</title>
          <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
          <link rel="stylesheet" href="/assets/console.css" />
          <script src="/assets/browser.js" defer></script>
        </head>
        <body>
          <a class="skip" href="#main">Skip to the content</a>
          <header class="row">
            <a class="home" href="/"
              ><img src="/assets/icon.svg" alt="" width="21" height="21" /> payalo
              <b class="delivered toned">receiver</b></a
            >
            <nav class="tabs" aria-label="Main">
              ${tabs.map(
                ({ href, name }) =>
                  html`<a href="${href}" ${name === tab ? html`aria-current="page"` : ''}
                    >${name}${badge(badges[name])}</a
                  >`,
              )}
            </nav>
            <form class="search" action="/search" role="search">
              <label class="hidden" for="search">Any reference</label>
              <input
                id="search"
                name="q"
                type="search"
                value="${search}"
                placeholder="Any reference"
                autocomplete="off"
                spellcheck="false"
                required
              />
            </form>
          </header>
          <main id="main" class="stack" tabindex="-1" data-refresh-seconds="${refreshSeconds}">
            ${notice && html`<p class="card tinted ${notice.tone}" role="status">${notice.text}</p>`} ${content}
          </main>
          <footer class="muted">
            ${asker !== undefined && !asker.mayChange && viewerLine(asker)} payalo-receiver ${version} ·
            <a href="${documents}" rel="noreferrer">Documents</a>
          </footer>
        </body>
      </html>`,
  );
}

function viewerLine({ name, mayReveal }: Asker): Html {
  return html`${name} may view everything${mayReveal ? '' : ' but bodies and answers'}, and change nothing. ·`;
}

function badge(count: number | undefined): Html | undefined {
  return count === undefined || count === 0
    ? undefined
    : html` <span class="pill bad">${count > 999 ? '999+' : count}</span>`;
}
