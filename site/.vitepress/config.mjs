// The documents of this repository as a site with search, which needs nothing from outside. `npm run site` builds it. Pages are the
// Markdown files where they lie; the order is that of llms.txt. A link to a page that is not there fails the build.
import { readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const { homepage } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const repository = homepage.replace(/#.*$/, '');

/** `## Section`, then `- [Title](file): what it is`. */
const sidebar = readFileSync(path.join(root, 'llms.txt'), 'utf8')
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    text: section.slice(0, section.indexOf('\n')),
    items: [...section.matchAll(/^- \[([^\]]+)\]\(([^)]+\.md)\)/gm)].map(([, text, file]) => ({
      text,
      link: `/${file.replace(/(^|\/)README\.md$/, '$1').replace(/\.md$/, '')}`,
    })),
  }));

/** As code hosts name the headings of a page, so that a link works in both places. */
function slugify(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/** README.md is a folder's page; what is no page is looked at where the sources are. */
function withOurLinks(markdown) {
  const inner = markdown.renderer.rules.link_open;
  markdown.renderer.rules.link_open = (tokens, at, options, env, self) => {
    const target = tokens[at].attrGet('href') ?? '';
    tokens[at].attrSet('href', linkTo(target, env.relativePath));
    return inner(tokens, at, options, env, self);
  };
  // What stands between double braces in code is no expression of a template.
  markdown.renderer.rules.code_block = (tokens, at) =>
    `<pre v-pre><code>${markdown.utils.escapeHtml(tokens[at].content)}</code></pre>`;
}

function linkTo(target, page) {
  if (/^(\w+:|#)/.test(target)) return target;
  if (/\.md(#|$)/.test(target)) return target.replace(/README\.md(#|$)/, 'index.md$1');
  return `${repository}/blob/main/${path.posix.join(path.posix.dirname(page), target)}`;
}

export default {
  title: 'payalo-receiver',
  description: 'Receives payment callbacks, stores each durably, delivers each once.',
  srcDir: root,
  srcExclude: ['.*/**', 'node_modules/**', 'dist/**', 'test/**', 'site/**', 'examples/*/**', 'scripts/**'],
  outDir: path.join(root, '.tools/site/pages'),
  cacheDir: path.join(root, '.tools/site/cache'),
  cleanUrls: true,
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  markdown: { config: withOurLinks, anchor: { slugify } },
  vite: { publicDir: false, esbuild: { tsconfigRaw: {} } }, // the product's tsconfig.json is none of its business
  themeConfig: {
    sidebar,
    outline: 'deep',
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: repository }],
  },
};
