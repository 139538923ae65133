// The documents as a site: each page there, no link broken, nothing fetched from elsewhere, and a search that finds.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const pages = path.join(root, '.tools/site/pages');
const read = (file: string) => readFileSync(path.join(pages, file), 'utf8');
let built: { readonly status: number | null; readonly output: string };
let files: string[] = [];

beforeAll(() => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/site.ts'], { cwd: root, encoding: 'utf8' });
  built = { status, output: stdout + stderr };
  files = globSync('**/*.html', { cwd: pages });
}, 300_000);

/** The file that a link of a page leads to, and the place in it. */
function targetOf(page: string, link: string): { file: string; anchor: string } {
  const { pathname, hash } = new URL(link, `http://site/${page.replace(/(index)?\.html$/, '')}`);
  const name = decodeURI(pathname.slice(1));
  const candidates = [name, `${name}.html`, path.posix.join(name, 'index.html')];
  return { file: candidates.find((one) => files.includes(one)) ?? '', anchor: decodeURIComponent(hash.slice(1)) };
}

describe('the site', () => {
  test('is built', () => {
    expect(built).toMatchObject({ status: 0 });
    expect(built.output).toContain('build complete');
  });

  test('has every document of llms.txt', () => {
    const documents = [...readFileSync(path.join(root, 'llms.txt'), 'utf8').matchAll(/\]\(([^)]+)\.md\)/g)];
    expect(documents.length).toBeGreaterThan(25);
    for (const [, name = ''] of documents) expect(files).toContain(`${name.replace(/(^|\/)README$/, '$1index')}.html`);
  });

  test('shows each page, from its heading on', () => {
    const documents = files.filter((file) => file !== '404.html');
    expect(documents.filter((file) => !/<h1 id="/.test(read(file)))).toEqual([]);
  });

  test('has no broken link', () => {
    const idsOf = (file: string) => new Set(Array.from(read(file).matchAll(/ id="([^"]+)"/g), ([, id]) => id));
    const ids = new Map(files.map((file) => [file, idsOf(file)]));
    const linksOf = (page: string) =>
      Array.from(read(page).matchAll(/<a\b[^>]* href="([^"]+)"/g), ([, link = '']) => link.replaceAll('&amp;', '&'));
    const broken = files.flatMap((page) =>
      linksOf(page)
        .filter((link) => !/^(https?|mailto):/.test(link))
        .filter((link) => {
          const { file, anchor } = targetOf(page, link);
          return file === '' || (anchor !== '' && !ids.get(file)?.has(anchor));
        })
        .map((link) => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  test('links to existing files of the repository where there is no page', () => {
    const links = files.flatMap((page) => read(page).match(/blob\/main\/[^"#]+/g) ?? []);
    expect(links.length).toBeGreaterThan(3);
    const missing = links.filter((link) => !existsSync(path.join(root, link.slice('blob/main/'.length))));
    expect(missing).toEqual([]);
  });

  test('fetches nothing from elsewhere', () => {
    for (const page of files) expect(read(page)).not.toMatch(/<(script|link|img)\b[^>]* (src|href)="https?:/);
  });

  test('its search finds words', () => {
    const index = globSync('assets/chunks/*localSearchIndex*.js', { cwd: pages }).map(read).join('\n');
    for (const word of ['RECONCILE_LOOKBACK', 'gatewayReference', 'heldReason'])
      expect(index.toLowerCase()).toContain(word.toLowerCase());
  });
});
