// An earlier version and this one side by side under load: workers first, then receivers, and back again. Callbacks that
// one version queued or spooled are delivered and drained by the other; some are sent twice, to either version.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { callbackBody, newReference } from '../support/callbacks.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { violations, type Report } from './auditor.ts';
import type { KeptProcess } from './kept-process.ts';
import { startLoad } from '../support/load.ts';
import { settleAndAudit } from './run-promises.ts';
import { startWorld, type World } from './world.ts';

export interface UpgradeOptions {
  /** The earlier commit. */
  readonly from: string;
  readonly perSecond: number;
  /** Whether to downgrade again afterwards. */
  readonly back: boolean;
  readonly say: (text: string) => void;
}

export interface UpgradeResult {
  readonly report: Report;
  readonly violations: readonly string[];
}

const root = path.resolve(import.meta.dirname, '../..');
/** The pause between two steps, in which both versions work side by side. */
const restMs = 2_000;

export async function runUpgrade({ from, perSecond, back, say }: UpgradeOptions): Promise<UpgradeResult> {
  const earlier = path.join(await checkOut(from), 'src', 'main.ts');
  await using world = await startWorld({ program: earlier });
  const { receivers, workers, merchant } = world;
  const load = startLoad({ targets: receivers.map(({ url }) => url), perSecond, next: sometimesAgain() });
  await delay(restMs);

  say('callbacks that the earlier version queued wait for the workers of this one');
  await merchant.down();
  await delay(restMs);
  await replace(world, workers, undefined);
  await merchant.up();
  await delay(restMs);
  say('the first receiver runs this version, and adopts the spool of the second, which dies');
  await replace(world, receivers.slice(0, 1), undefined);
  await dieWithSpool(world, receivers.slice(1), undefined);
  await delay(restMs);

  if (back) await goBack(world, earlier, say);
  await load.stop();
  const report = await settleAndAudit(world, load);
  return { report, violations: violations(report) };
}

async function goBack(world: World, earlier: string, say: (text: string) => void): Promise<void> {
  const { receivers, workers, merchant } = world;
  say('back: the first receiver dies, and the earlier version adopts its spool');
  await merchant.down();
  await dieWithSpool(world, receivers.slice(0, 1), earlier);
  await replace(world, receivers.slice(1), earlier);
  say('callbacks that this version queued wait for the workers of the earlier one');
  await replace(world, workers, earlier);
  await merchant.up();
  await delay(restMs);
}

/** Stops the processes gracefully, one after the other, and starts each in the other version. */
async function replace(world: World, list: readonly KeptProcess[], program: string | undefined): Promise<void> {
  for (const process of list) {
    const mended = world.outage(process.url);
    await process.stop();
    await process.end();
    process.setProgram(program);
    await process.restart();
    mended();
  }
}

/** Redis is down, they spool and are killed with a full spool; then they start in the other version. */
async function dieWithSpool(world: World, list: readonly KeptProcess[], program: string | undefined): Promise<void> {
  const redisMended = world.outage('redis');
  await world.redis.kill('SIGKILL');
  await delay(restMs);
  for (const process of list) {
    const mended = world.outage(process.url);
    await process.kill();
    await world.redis.restart();
    redisMended();
    process.setProgram(program);
    await process.restart();
    mended();
  }
}

/** Every tenth callback repeats an earlier one. */
function sometimesAgain() {
  const sent: { readonly reference: string; readonly body: string }[] = [];
  let count = 0;
  return () => {
    count += 1;
    const earlier = count % 10 === 0 ? sent.at(-25) : undefined;
    if (earlier !== undefined) return earlier;
    const reference = newReference();
    const callback = { reference, body: callbackBody({ reference }) };
    sent.push(callback);
    return callback;
  };
}

/** The sources of a commit, with the packages of this checkout. */
async function checkOut(commit: string): Promise<string> {
  const dir = path.join(await makeTempDir('earlier'), 'sources');
  mkdirSync(dir);
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 256 * 1_048_576 });
  execFileSync('tar', ['-x', '-C', dir], { input: archive });
  symlinkSync(path.join(root, 'node_modules'), path.join(dir, 'node_modules'));
  return dir;
}
