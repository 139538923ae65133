// The layout of the console's pages in a real browser: each page of test/support/console-pages.ts. Needs
// Chromium, and no service.
import { readFileSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { consolePages } from '../support/console-pages.ts';

const packages = await ensureDebianPackages(['chromium']);
const folder = new URL('../../src/ops/console/', import.meta.url);
const types = { css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' } as const;
const pages = consolePages();

let browser: Browser;

describe.skipIf(packages.missing)('the pages of the console', () => {
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: packages.program('chromium'),
      args: ['--no-sandbox'],
      env: { ...process.env, ...packages.env },
    });
  });

  afterAll(async () => {
    await browser.close();
  });

  async function openTab(options: object): Promise<Page> {
    const context = await browser.newContext(options);
    await context.route('http://console.test/**', async (route) => {
      const { pathname } = new URL(route.request().url());
      const [, name = '', ending = ''] = /^\/assets\/(\w+\.(\w+))$/.exec(pathname) ?? [];
      const found = Object.entries(types).find(([known]) => known === ending);
      return found === undefined
        ? route.fulfill({ contentType: 'text/html', body: pages.get(decodeURIComponent(pathname.slice(1))) ?? '' })
        : route.fulfill({ contentType: found[1], body: readFileSync(new URL(name, folder)) });
    });
    return context.newPage();
  }

  const show = (tab: Page, name: string) => tab.goto(`http://console.test/${encodeURIComponent(name)}`);

  test('need no scrolling sideways, as narrow as a phone may be', async () => {
    const tab = await openTab({ viewport: { width: 320, height: 640 } });
    for (const name of pages.keys()) {
      await show(tab, name);
      const wider = await tab.evaluate('document.documentElement.scrollWidth - innerWidth');
      expect({ name, wider }).toEqual({ name, wider: 0 });
    }
  });

  test('show amount, status and times above the body on a phone', async () => {
    const tab = await openTab({ viewport: { width: 375, height: 667 } });
    await show(tab, 'callback');
    const topOf = async (text: string) => (await tab.getByText(text, { exact: true }).first().boundingBox())?.y ?? NaN;
    const body = await topOf('Body');
    for (const fact of ['Amount', 'Status', 'Received', 'Delivered']) expect(await topOf(fact)).toBeLessThan(body);
    expect(await topOf('Received')).toBeLessThan(667);
  });

  test('show the local time of the browser next to UTC', async () => {
    const tab = await openTab({ timezoneId: 'Africa/Nairobi', locale: 'en-GB' });
    await show(tab, 'callback');
    const received = tab.locator('dl time').first();
    expect(await received.innerText()).toBe('2026-11-26 11:59:50.000 UTC');
    expect(await received.getAttribute('title')).toMatch(/^26 Nov 2026, 14:59:50 .* here$/);
  });

  test('use every rule of the style sheet', async () => {
    const tab = await openTab({});
    const unused = new Set<string>();
    for (const [at, name] of [...pages.keys()].entries()) {
      await show(tab, name);
      const missing = z.array(z.string()).parse(await tab.evaluate(unusedSelectors));
      for (const selector of at === 0 ? missing : [...unused]) {
        if (missing.includes(selector)) unused.add(selector);
        else unused.delete(selector);
      }
    }
    expect([...unused]).toEqual(['.offline main']); // what browser.js sets while the service does not answer
  });
});

/** Run in the page: the selectors that fit nothing on it, states such as hovering aside. */
const unusedSelectors = `[...document.styleSheets[0].cssRules]
  .flatMap((rule) => [...(rule.cssRules?.length ? rule.cssRules : [rule])])
  .map(({ selectorText }) => selectorText)
  .filter((selector) => !document.querySelector(selector.replaceAll(/::?(before|hover|focus-visible)|:not\\(:focus\\)/g, '')))`;
