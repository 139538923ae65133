// `npm run compare`: compares this service with a plain BullMQ handler, as a team would write it, and with one that
// deduplicates by `jobId`: the same load, the same faults, one table. `-- --also 'NAME=COMMAND'` adds another receiver, which
// COMMAND starts (environment.ts lists its variables); `--only TEXT` runs only the scenarios whose names contain the text.
//
// Each scenario gets a separate Redis (appendfsync always), a fresh receiver and a fresh merchant.
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { startLoad } from '../../test/support/load.ts';
import { gotBy } from '../../test/promises/world.ts';
import { callbackBody, newReference } from '../../test/support/callbacks.ts';
import { setup } from '../../test/support/global-setup.ts';
import { startRedis } from '../../test/support/redis.ts';
import { startTcpProxy } from '../../test/support/tcp-proxy.ts';
import { until } from '../../test/support/until.ts';
import { contestants, startReceiver, type Contestant } from './contestants.ts';
import { scenarios, type Scenario } from './scenarios.ts';

const { values } = parseArgs({
  options: { also: { type: 'string', multiple: true }, only: { type: 'string', default: '' } },
});
const all = [...contestants, ...(values.also ?? []).map(parseContestant)];

/** Before and after the fault. */
const calmMs = 2_000;
const settleMs = 45_000;

await setup();
console.log(
  '| scenario | receiver | sent | answered 200 | refused | late or not at all | slowest | acknowledged and lost | delivered twice |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const scenario of scenarios.filter(({ name }) => name.includes(values.only))) {
  for (const contestant of all) {
    const cells = await run(scenario, contestant);
    console.log(`| ${[scenario.name, contestant.name, ...cells].join(' | ')} |`);
  }
}
process.exit(0);

async function run({ load: kind, fault }: Scenario, contestant: Contestant): Promise<(string | number)[]> {
  await using redis = await startRedis();
  const redisProxy = await startTcpProxy({ target: redis.port });
  const merchant = createMerchantSimulator();
  const { url: merchantUrl } = await merchant.up();
  const place = { redisUrl: `redis://127.0.0.1:${redisProxy.port}`, merchantUrl };
  const receiver = await startReceiver(contestant, place);
  const targets = [receiver.url];
  const load = 'atOnce' in kind ? startLoad({ targets, ...burst(kind.atOnce) }) : startLoad({ targets, ...kind });
  if ('atOnce' in kind) await until(() => load.answers.length >= kind.atOnce, { timeoutMs: 20_000 });
  else await delay(calmMs);
  await fault({ redis, redisProxy, receiver, merchant });
  if (!('atOnce' in kind)) await delay(calmMs);
  await load.stop();
  const acknowledged = new Set(load.acknowledged().map(({ reference }) => reference));
  const taken = () =>
    Map.groupBy(
      gotBy(merchant).filter((got) => got.taken),
      ({ reference }) => reference,
    );
  // Callbacks still missing after that count as lost.
  await until(() => [...acknowledged].every((reference) => taken().has(reference)), {
    timeoutMs: settleMs,
    everyMs: 200,
  }).catch(() => false);
  const { answers } = load;
  const answered = answers.filter(({ status }) => status !== null);
  const slowestMs = Math.max(...answered.map(({ sentAtMs, endedAtMs }) => endedAtMs - sentAtMs));
  await receiver.kill();
  await merchant.close();
  await redisProxy.stop();
  return [
    answers.length,
    answers.filter(({ status }) => status === 200).length,
    answered.filter(({ status }) => status !== 200).length,
    answers.length - answered.length,
    `${(slowestMs / 1_000).toFixed(2)} s`,
    [...acknowledged].filter((reference) => !taken().has(reference)).length,
    [...taken().values()].filter((list) => list.length > 1).length,
  ];
}

/** The same callback in many concurrent requests; nothing afterwards matters. */
function burst(atOnce: number) {
  const reference = newReference();
  return { perSecond: 1_000_000, callbacksMax: atOnce, next: () => ({ reference, body: callbackBody({ reference }) }) };
}

function parseContestant(text: string): Contestant {
  const at = text.indexOf('=');
  if (at > 0) return { name: text.slice(0, at), command: text.slice(at + 1) };
  console.error(`--also takes NAME=COMMAND, not ${JSON.stringify(text)}`);
  process.exit(2);
}
