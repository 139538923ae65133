// The console in a real browser: the questions an operator has, a hostile body, and accessibility. Needs Chromium.
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const packages = await ensureDebianPackages(['chromium']);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const token = 'console-token-0123456789';
const supportToken = 'support-token-0123456789';
const transferredMax = 100_000;

let redis: TestRedis;
let service: TestService;
let merchant: Server;
let merchantStatus = 200;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let errors: string[];

describe.skipIf(packages.missing)('the console', () => {
  beforeAll(async () => {
    redis = await startRedis();
    merchant = createServer((request, response) => {
      request.resume();
      request.on('end', () => response.writeHead(merchantStatus).end('<script>document.title = "pwned"</script>'));
    });
    merchant.listen(0, '127.0.0.1');
    await once(merchant, 'listening');
    const { port } = z.object({ port: z.number() }).parse(merchant.address());
    service = await startService({
      env: {
        REDIS_URL: redis.url,
        PAYALO_API_KEYS: testKey,
        FORWARD_URL: `http://127.0.0.1:${port}/hook`,
        FORWARD_RETRIES: '20ms',
        OPS_TOKEN: `amina=${token},sam:support=${supportToken}`,
      },
    });
    browser = await chromium.launch({
      executablePath: packages.program('chromium'),
      args: ['--no-sandbox'],
      env: { ...process.env, ...packages.env },
    });
  });

  afterAll(async () => {
    await browser.close();
    await service[Symbol.asyncDispose]();
    merchant.close();
    await redis.stop();
  });

  beforeEach(async () => {
    merchantStatus = 200;
    context = await newContext();
    page = await context.newPage();
    errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
  });

  afterEach(async () => {
    await context.close();
  });

  const newContext = (options: object = {}) =>
    browser.newContext({ httpCredentials: { username: 'amina', password: token }, ...options });

  async function receive(body: string): Promise<void> {
    await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
  }

  async function stateOf(reference: string): Promise<unknown> {
    const response = await fetch(`${service.opsUrl}/v1/callbacks/${encodeURIComponent(reference)}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return z.looseObject({ state: z.unknown().optional() }).parse(await response.json()).state;
  }

  async function callbackIn(state: 'delivered' | 'failed', body?: string): Promise<string> {
    merchantStatus = state === 'failed' ? 500 : 200;
    const reference = newReference();
    await receive(body ?? callbackBody({ reference, merchantReference: `order-${reference}` }));
    await until(async () => (await stateOf(reference)) === state);
    return reference;
  }

  const open = (path: string) => page.goto(service.opsUrl + path);
  const textOf = (selector: string) => page.locator(selector).first().innerText();

  test('asks for the token', async () => {
    const stranger = await browser.newContext();
    const response = await (await stranger.newPage()).goto(service.opsUrl).catch(() => null);
    expect(response?.status() ?? 401).toBe(401);
    await stranger.close();
  });

  test('tells a newcomer what to do first, then shows new callbacks without a reload', async () => {
    await open('/');
    expect(await textOf('main')).toContain('No callback has come yet');
    const reference = await callbackIn('delivered');
    await page.getByRole('link', { name: reference }).waitFor();
    expect(await textOf('h1')).toBe('All is well');
    expect(errors).toEqual([]);
  });

  test('settles a dispute from the search box: timeline, attempts, and the body with exact numbers', async () => {
    const reference = await callbackIn('delivered');
    await receive(callbackBody({ reference, amount: '7.50' }));
    await open('/');
    await page.keyboard.press('/');
    await page.keyboard.type(`order-${reference}`);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/callbacks\//);
    expect(await textOf('h1 .reference')).toBe(reference);
    expect(await textOf('.timeline')).toMatch(/Received from the gateway[\s\S]*Received once more[\s\S]*delivered/);
    const body = page
      .locator('section', { has: page.getByRole('heading', { name: 'Body', exact: true }) })
      .locator('.body');
    expect(await body.innerText()).toContain('"value": 100.00');
    expect(await textOf('.card.warn')).toContain('7.5 KES');
  });

  test('says kindly that a reference is unknown', async () => {
    const response = await open('/search?q=nobody-knows');
    expect(response?.status()).toBe(404);
    expect(await textOf('h1')).toContain('Nothing is stored');
  });

  test('replays a failed callback after a confirmation, and shows who did it', async () => {
    const reference = await callbackIn('failed');
    merchantStatus = 200;
    await open(`/callbacks/${reference}`);
    await page.getByText('Replay', { exact: true }).click();
    await page.getByRole('button', { name: 'Deliver again' }).click();
    expect(await textOf('p[role=status]')).toContain('Back in the queue');
    await until(async () => (await stateOf(reference)) === 'delivered');
    await open('/activity');
    expect(await textOf('table')).toMatch(new RegExp(`amina[\\s\\S]*callback.replay[\\s\\S]*${reference}`));
  });

  test('replays selected failed callbacks, and all of them, in bulk', async () => {
    const references = [await callbackIn('failed'), await callbackIn('failed'), await callbackIn('failed')];
    merchantStatus = 200;
    await open('/callbacks?state=failed');
    await page.getByRole('checkbox', { name: `Select ${references[0]}` }).check();
    await page.getByRole('button', { name: 'Replay selected' }).click();
    await until(async () => (await stateOf(references[0] ?? '')) === 'delivered');
    expect(await stateOf(references[1] ?? '')).toBe('failed');
    await page.getByText('Replay all failed').click();
    await page.getByRole('button', { name: 'Replay all', exact: true }).click();
    for (const reference of references) await until(async () => (await stateOf(reference)) === 'delivered');
  });

  test('looks into the quarantine, releases an entry under a reference, and deletes another', async () => {
    await receive('{"status":"success"}');
    await receive('no json');
    await open('/quarantine');
    await page
      .getByRole('row', { name: /bad-reference/ })
      .getByRole('link')
      .click();
    const reference = newReference();
    await page.getByLabel('Gateway’s reference').fill(reference);
    await page.getByRole('button', { name: 'Release' }).click();
    expect(await textOf('p[role=status]')).toContain('Released');
    await until(async () => (await stateOf(reference)) === 'delivered');
    await page
      .getByRole('checkbox', { name: /Select the entry/ })
      .first()
      .check();
    await page.getByText('Delete selected').click();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    expect(await textOf('p[role=status]')).toContain('Deleted');
  });

  test('pauses and resumes deliveries', async () => {
    await open('/');
    await page.getByText('Pause deliveries').first().click();
    await page.getByRole('button', { name: 'Pause deliveries' }).last().click();
    expect(await textOf('h1')).toBe('Deliveries are paused');
    await page.getByRole('button', { name: 'Resume deliveries' }).click();
    expect(await textOf('h1')).not.toContain('paused');
  });

  test('never treats the text of a callback as HTML, wherever it appears', async () => {
    const evil = '<script>document.title="pwned"</script><img src=x onerror="document.title=\'pwned\'">"\'&amp;';
    const text = JSON.stringify(evil);
    const body = `{"gatewayReference":${text},"merchantReference":${text},"status":${text},"type":${text},
      "finalAmount":{"value":1,"currency":${text}},${text}:${text}}`;
    merchantStatus = 500;
    await receive(body);
    await until(async () => (await stateOf(evil)) === 'failed');
    await receive(`{"${evil.replaceAll('"', '\\"')}": ${text}}`);
    const paths = [
      '/',
      '/callbacks',
      '/callbacks?state=failed',
      '/quarantine',
      `/callbacks/${encodeURIComponent(evil)}`,
    ];
    for (const path of [
      ...paths,
      `/search?q=${encodeURIComponent(`no ${evil}`)}`,
      `/?notice=${encodeURIComponent(evil)}`,
    ]) {
      await open(path);
      expect(await page.title()).not.toBe('pwned');
      expect(await page.locator('main script, main img').count()).toBe(0);
    }
    await open(`/callbacks/${encodeURIComponent(evil)}`);
    expect(await textOf('h1 .reference')).toBe(evil);
    expect(errors.filter((error) => !error.includes('404'))).toEqual([]);
  });

  test('is accessible: axe finds nothing on any page, light or dark, wide or narrow', async () => {
    const reference = await callbackIn('failed');
    const paths = [
      '/',
      '/callbacks',
      '/callbacks?state=failed',
      `/callbacks/${reference}`,
      '/quarantine',
      '/reconciliation',
      '/activity',
      '/search?q=none',
    ];
    const support = { httpCredentials: { username: 'sam', password: supportToken } };
    for (const options of [
      { colorScheme: 'light' },
      { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
      support,
    ]) {
      const other = await newContext({ ...options, bypassCSP: true });
      const tab = await other.newPage();
      for (const path of paths) {
        await tab.goto(service.opsUrl + path);
        await tab.evaluate(axe);
        const found = z
          .array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) }))
          .parse(await tab.evaluate('axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations)'));
        expect({ path, found }).toEqual({ path, found: [] });
        const wider = await tab.evaluate('document.documentElement.scrollWidth - innerWidth');
        expect({ path, wider }).toEqual({ path, wider: 0 });
      }
      await other.close();
    }
  });

  test('is usable without a script, by the keyboard alone', async () => {
    const reference = await callbackIn('failed');
    merchantStatus = 200;
    const plain = await newContext({ javaScriptEnabled: false });
    const tab = await plain.newPage();
    await tab.goto(`${service.opsUrl}/callbacks/${reference}`);
    await tab.getByText('Replay', { exact: true }).focus();
    await tab.keyboard.press('Enter');
    await tab.keyboard.press('Tab');
    await tab.keyboard.press('Enter');
    expect(await tab.locator('p[role=status]').innerText()).toContain('Back in the queue');
    await plain.close();
  });

  test('is small, and loads nothing from elsewhere', async () => {
    await callbackIn('delivered');
    const asked: string[] = [];
    const sizes: Promise<number>[] = [];
    page.on('response', (response) => {
      asked.push(new URL(response.url()).origin);
      sizes.push(response.body().then(({ length }) => length));
    });
    await page.goto(service.opsUrl, { waitUntil: 'networkidle' });
    const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    expect(new Set(asked)).toEqual(new Set([new URL(service.opsUrl).origin]));
    expect(bytes).toBeGreaterThan(5_000);
    expect(bytes).toBeLessThan(transferredMax);
  });
});
