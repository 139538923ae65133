import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { endWithThisProcess } from '../support/end-with-this-process.ts';
import { recordingIn, recordingOf, shapeOf, withRecording } from '../../scripts/quickstart/recording.ts';
import { until } from '../support/until.ts';

const readme = readFileSync('README.md', 'utf8');

function quickstart(...args: string[]) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'scripts/quickstart.ts', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithThisProcess(child);
  let output = '';
  child.stdout.on('data', (text) => (output += String(text)));
  child.stderr.on('data', (text) => (output += String(text)));
  return { child, output: () => output, exit: once(child, 'close') };
}

test('shows the main job and exits 0 with --once, without a colour where there is no terminal', async () => {
  const { output, exit } = quickstart('--once');
  const [code] = await exit;
  expect({ code, output: output() }).toMatchObject({ code: 0 });
  expect(output()).toMatch(/pay-in +100\.00 KES by mpesa-ke, quickstart-001: pending/);
  expect(output()).toMatch(/delivered +merchant answers 200, signature valid/);
  expect(output()).toContain('equal byte for byte');
  expect(output()).toContain('{"status":"ok","duplicate":true}');
  expect(output()).toMatch(/confirmed +the gateway says the same: success, 100\.00 KES/);
  expect(output()).not.toContain('\u001B');
  // What README.md shows of it is what it does: else run `node scripts/record-quickstart.ts`.
  expect(shapeOf(recordingIn(readme))).toBe(shapeOf(recordingOf(output())));
});

test('a recording replaces the previous one, and nothing else', () => {
  const other = withRecording(readme, 'recorded');
  expect(recordingIn(other)).toBe('recorded');
  expect(withRecording(other, recordingIn(readme))).toBe(readme);
  expect(() => withRecording('# No place\n', 'recorded')).toThrow('has no block that begins with');
});

test('does not record a failed run', () => {
  const output = recordingIn(readme).replace('\n✓ ', '\n✗ ');
  expect(() => recordingOf(output)).toThrow('The quickstart did not succeed');
});

test('shows a forged callback being caught with --forge', async () => {
  const { output, exit } = quickstart('--once', '--forge');
  const [code] = await exit;
  expect({ code, output: output() }).toMatchObject({ code: 0 });
  expect(output()).toMatch(/held +denied: the gateway does not know this transaction/);
  expect(output()).toContain('The forged callback was caught: the merchant never saw it.');
});

test('stays up with a callback to send by hand, until a signal, which ends all of it', async () => {
  const { child, output, exit } = quickstart();
  await until(() => output().includes('Everything stays up'), { timeoutMs: 25_000, describe: 'the invitation' });
  const [, url = '', key = '', body = ''] =
    /curl -i (\S+) [^']*'[^']*' -H 'X-API-KEY: ([^']+)' \\\s+-d '([^']+)'/.exec(output()) ?? [];
  const send = async () => (await fetch(url, { method: 'POST', headers: { 'X-API-KEY': key }, body })).json();
  expect(await send()).toEqual({ status: 'ok' });
  expect(await send()).toEqual({ status: 'ok', duplicate: true });
  await until(() => /delivered +by-hand-001/.test(output()), { describe: 'the delivery to be shown' });
  child.kill('SIGINT');
  expect(await exit).toEqual([0, null]);
  await expect(fetch(url)).rejects.toThrow('fetch failed');
});
