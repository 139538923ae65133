import { expect, it } from 'vitest';
import { runSimulator, simulatorHelp } from '../../simulator/run-simulator.ts';
import { startPayin } from './simulators.ts';

/** The first address in a line that starts so. */
function addressIn(lines: readonly string[], start: string): string | undefined {
  return /http:\S+/.exec(lines.find((line) => line.startsWith(start)) ?? '')?.[0];
}

it('runs gateway and merchant until the signal, and logs what happens', async () => {
  const lines: string[] = [];
  const stop = new AbortController();
  const options = { gatewayPort: 0, merchantPort: 0, callbackDelayMs: 1, basePath: '/gateway/mmo/v2' };
  const running = runSimulator(options, (line) => void lines.push(line), stop.signal);
  await expect.poll(() => addressIn(lines, 'merchant')).toBeDefined();
  const url = addressIn(lines, 'gateway') ?? '';
  expect((await startPayin(url, { resultUrl: addressIn(lines, 'merchant') })).status).toBe(200);
  await expect.poll(() => lines.some((line) => line.includes('callback success: delivered, 200'))).toBe(true);
  expect(lines.some((line) => line.startsWith('merchant') && line.includes('answered 200'))).toBe(true);
  stop.abort();
  await running;
  await expect(startPayin(url)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
});

it('ends at once when the signal came before it', async () => {
  const lines: string[] = [];
  await runSimulator({ gatewayPort: 0, merchantPort: 0 }, (line) => void lines.push(line), AbortSignal.abort());
  await expect(startPayin(addressIn(lines, 'gateway') ?? '')).rejects.toMatchObject({
    cause: { code: 'ECONNREFUSED' },
  });
});

it('leaves nothing running if a port is in use', async () => {
  const lines: string[] = [];
  const stop = new AbortController();
  const first = runSimulator({ gatewayPort: 0, merchantPort: 0 }, (line) => void lines.push(line), stop.signal);
  await expect.poll(() => addressIn(lines, 'merchant')).toBeDefined();
  const merchantPort = Number(new URL(addressIn(lines, 'merchant') ?? '').port);
  await expect(runSimulator({ gatewayPort: 0, merchantPort }, () => undefined, stop.signal)).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
  stop.abort();
  await first;
});

it('names outcomes and controls in its help', () => {
  expect(simulatorHelp).toContain('user_insufficient_funds');
  expect(simulatorHelp).toContain('/_simulator');
});
