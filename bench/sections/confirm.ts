// The cost of confirmation: the accept rate with CONFIRM off, after and before, in turn; and the end-to-end latency when
// the gateway is asked first.
import { setTimeout as delay } from 'node:timers/promises';
import { createGatewaySimulator } from '../../simulator/gateway.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { benchKey } from '../callback-text.ts';
import type { Rig } from '../rig.ts';
import { sized, type Row, type Section, type Size } from '../section.ts';
import { median, percentile, round } from '../statistics.ts';

const connections = 64;
const modes = ['off', 'after', 'before'] as const;
type Mode = (typeof modes)[number];
/** Below and above the limit of single status calls. */
const ways: readonly (readonly [mode: Mode, perSecond: number])[] = [
  ['off', 20],
  ['before', 20],
  ['before', 35],
  ['before', 100],
];
const deliveredWithinMs = 60_000;

export const confirm: Section = {
  name: 'confirm',
  title: 'Confirmation: accept throughput by CONFIRM, and the time to the merchant',
  async run(rig, size) {
    const perSecond = await throughput(rig, size);
    const rows: Row[] = modes.map((mode) => ({
      what: `accepted, ${mode}`,
      'callbacks/s': round(median(perSecond[mode])),
    }));
    for (const [mode, rate] of size.short ? ways.slice(0, 2) : ways)
      rows.push(await timeToMerchant(rig, size, mode, rate));
    const ratio = (mode: Mode) =>
      round(median(perSecond[mode].map((one, at) => one / (perSecond.off[at] ?? Number.NaN))), 2);
    return { rows, summary: { 'after / off': ratio('after'), 'before / off': ratio('before') } };
  },
};

/** No look-ups run meanwhile: this measures only the extra writes. */
async function throughput(rig: Rig, size: Size): Promise<Record<Mode, number[]>> {
  const redis = await rig.startRedis();
  const samples: Record<Mode, number[]> = { off: [], after: [], before: [] };
  const services = await Promise.all(
    modes.map(async (mode) => {
      const env = { CONFIRM: mode, GATEWAY_BASE_URL: 'http://127.0.0.1:9' };
      return { mode, running: await rig.startService({ roles: ['receive'], redis, env }) };
    }),
  );
  for (const { mode, running } of services) {
    await rig.load({ urls: [running.url], connections, requests: sized(size, 40_000, 200), run: `warm-${mode}` });
    await redis.client.flushall();
  }
  for (let round = 0; round < size.rounds; round += 1) {
    for (const { mode, running } of services) {
      const requests = sized(size, 20_000, 300);
      const { seconds } = await rig.load({ urls: [running.url], connections, requests, run: `r${round}` });
      samples[mode].push(requests / seconds);
      await redis.client.flushall();
    }
  }
  for (const { running } of services) await running.stop();
  await redis.stop();
  return samples;
}

/** From sending to receipt, with the simulated gateway, which allows 50 status calls a second. */
async function timeToMerchant(rig: Rig, size: Size, mode: Mode, rate: number): Promise<Row> {
  const redis = await rig.startRedis();
  const gateway = createGatewaySimulator({ keys: [benchKey], statusCallsPerSecondMax: 50 });
  const merchant = createMerchantSimulator();
  const env = {
    CONFIRM: mode,
    GATEWAY_BASE_URL: (await gateway.listen()).url,
    FORWARD_URL: (await merchant.listen()).url,
  };
  const service = await rig.startService({ roles: ['all'], redis, env });
  const sentAtMs = await send(gateway, service.url, { rate, count: sized(size, rate * 15, 10) });
  await untilReceived(merchant, sentAtMs.size);
  const times = merchant.deliveries().map(({ headers, receivedAtMs }) => {
    const sent = sentAtMs.get(decodeURIComponent(String(headers['payalo-gateway-reference'])));
    return receivedAtMs - (sent ?? Number.NaN);
  });
  const { status, records } = gateway.calls();
  await service.stop();
  await Promise.all([gateway.close(), merchant.close()]);
  await redis.stop();
  const at = (share: number) => round(percentile(times, share));
  return {
    what: `to the merchant, ${mode}, ${rate}/s`,
    'p50 ms': at(0.5),
    'p99 ms': at(0.99),
    'max ms': at(1),
    'status calls': status,
    'records calls': records,
  };
}

/** The sending time of each genuine callback. */
async function send(
  gateway: ReturnType<typeof createGatewaySimulator>,
  url: string,
  { rate, count }: { rate: number; count: number },
): Promise<Map<string, number>> {
  const sentAtMs = new Map<string, number>();
  const answers: Promise<Response>[] = [];
  const startedAtMs = performance.now();
  for (let sent = 0; sent < count; sent += 1) {
    const [known] = gateway.addTransactions({ completedAfterMs: 0, merchantReferencePrefix: `bench-${sent}` });
    const reference = known?.gatewayReference ?? '';
    const headers = { 'X-API-KEY': benchKey };
    sentAtMs.set(reference, Date.now());
    answers.push(fetch(url, { method: 'POST', headers, body: gateway.bodyOf(reference) }));
    await delay(Math.max(startedAtMs + ((sent + 1) * 1_000) / rate - performance.now(), 0));
  }
  for (const answer of await Promise.all(answers)) if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return sentAtMs;
}

async function untilReceived(merchant: ReturnType<typeof createMerchantSimulator>, count: number): Promise<void> {
  const deadlineMs = performance.now() + deliveredWithinMs;
  while (merchant.deliveries().length < count) {
    if (performance.now() > deadlineMs) throw new Error('Not every callback reached the merchant.');
    await delay(20);
  }
}
