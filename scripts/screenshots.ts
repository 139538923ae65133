// `node scripts/screenshots.ts`: the console's main pages as images in docs/images, light and dark, wide and narrow.
//
// All data comes from the simulated gateway: confirmed callbacks, failed ones, a quarantined body, a conflict. Needs Chromium, which is installed on Debian and Ubuntu.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { ensureDebianPackages } from '../test/support/debian-packages.ts';
import { startStage, type Stage } from './quickstart/stage.ts';
import { createTerminal } from './quickstart/terminal.ts';

const folder = path.join(path.dirname(import.meta.dirname), 'docs', 'images');
const callbacks = 40;
const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const;
const schemes = ['light', 'dark'] as const;

const terminal = createTerminal(process.stdout);
await using started = new AsyncDisposableStack();
const packages = await ensureDebianPackages(['chromium'], { say: terminal.note });
if (packages.missing !== undefined) throw new Error(`No screenshots without Chromium: ${packages.missing}`);
const stage = await startStage({ started, terminal, confirm: 'after' });
stage.broken.catch(() => {}); // ended below, on purpose
const reference = await fill(stage);
const browser = await chromium.launch({
  executablePath: packages.program('chromium'),
  args: ['--no-sandbox'],
  env: { ...process.env, ...packages.env },
});
started.defer(() => browser.close());
await mkdir(folder, { recursive: true });
await takePictures(browser, stage.consoleUrl ?? '', reference);

/** Resolves to the reference of a callback that was delivered and then contradicted. */
async function fill({ apiKey, gateway, resultUrl, serviceLog }: Stage): Promise<string> {
  const post = async (body: string) =>
    fetch(resultUrl, { method: 'POST', headers: { 'x-api-key': apiKey, 'content-type': 'application/json' }, body });
  const nowMs = Date.now();
  const added = Array.from({ length: callbacks }, (_, at) => {
    const createdAt = new Date(nowMs - (callbacks - at) * 60_000).toISOString();
    const amount = `${150 + 7 * at}.00`;
    const status = at % 7 === 3 ? 'failed' : 'success';
    return gateway.addTransactions({ createdAt, amount, currency: 'KES', status, merchantReferencePrefix: 'order' });
  }).flat();
  for (const { gatewayReference } of added) await post(gateway.bodyOf(gatewayReference));
  const contradicted = added.at(-3)?.gatewayReference ?? '';
  await post(gateway.bodyOf(contradicted).replace('"success"', '"failed"'));
  await post('{ "no": "JSON"');
  const happened = (event: string) => serviceLog.filter((line) => line['event'] === event).length;
  while (happened('delivery.attempted') < callbacks || happened('reconcile.swept') < 3)
    await new Promise((resolve) => setTimeout(resolve, 100));
  return contradicted;
}

async function takePictures(browser: Browser, consoleUrl: string, reference: string): Promise<void> {
  const today = new Date().toISOString().slice(0, 10);
  const pages = {
    overview: '',
    callbacks: 'callbacks',
    callback: `callbacks/${reference}`,
    reconciliation: 'reconciliation',
    report: `report?from=${today}&to=${today}&by=day`,
  };
  for (const colorScheme of schemes) {
    for (const [size, viewport] of Object.entries(sizes)) {
      const page = await browser.newPage({ colorScheme, viewport });
      for (const [name, address] of Object.entries(pages)) {
        const answer = await page.goto(new URL(address, consoleUrl).href);
        if (answer?.status() !== 200) throw new Error(`${address} answered ${answer?.status()}`);
        await page.screenshot({ path: path.join(folder, `console-${name}-${colorScheme}-${size}.png`) });
      }
      await page.close();
    }
  }
}
