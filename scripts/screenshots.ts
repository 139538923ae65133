// `node scripts/screenshots.ts`: the console's main pages as pictures in docs/images, light and dark, wide and narrow.
//
// Everything in them comes from the simulated gateway: delivered callbacks, failed ones, a quarantined body, a
// conflict. Needs Chromium, which is installed on Debian and Ubuntu.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { ensureDebianPackages } from './debian-packages.ts';
import { startStage, type Stage } from './quickstart/stage.ts';
import { createTerminal } from './quickstart/terminal.ts';

const folder = path.join(path.dirname(import.meta.dirname), 'docs', 'images');
const callbacks = 40;
const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const;
const schemes = ['light', 'dark'] as const;

const terminal = createTerminal(process.stdout);
await using started = new AsyncDisposableStack();
const packages = await ensureDebianPackages(['chromium'], { say: terminal.note });
if (packages.missing !== undefined) throw new Error(`No pictures without Chromium: ${packages.missing}`);
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

/** Resolves to the reference of one that was delivered. */
async function fill({ apiKey, resultUrl, serviceLog }: Stage): Promise<string> {
  const post = async (body: string) =>
    fetch(resultUrl, { method: 'POST', headers: { 'x-api-key': apiKey, 'content-type': 'application/json' }, body });
  const referenceOf = (index: number) => `b2p01m8bss1wdfs46fdgwj0j6kt${String(index).padStart(7, '0')}`;
  const bodyOf = (index: number, status: string) =>
    JSON.stringify({
      gatewayReference: referenceOf(index),
      merchantReference: `order-${1_000 + index}`,
      type: 'payin',
      status,
      finalAmount: { value: 150 + index, currency: 'KES' },
    });
  for (let index = 0; index < callbacks; index += 1) await post(bodyOf(index, index % 7 === 3 ? 'failed' : 'success'));
  await post(bodyOf(1, 'failed')); // a conflict
  await post('{ "no": "JSON"');
  const delivered = () => serviceLog.filter(({ event }) => event === 'delivery.attempted').length;
  while (delivered() < callbacks) await new Promise((resolve) => setTimeout(resolve, 100));
  return referenceOf(1);
}

async function takePictures(browser: Browser, consoleUrl: string, reference: string): Promise<void> {
  const pages = {
    overview: '',
    callbacks: 'callbacks',
    callback: `callbacks/${reference}`,
    quarantine: 'quarantine',
    reconciliation: 'reconciliation',
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
