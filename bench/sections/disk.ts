// What accepting a callback writes to the append-only file, command by command, alone and in a full batch. Redis logs the
// effects of a script, not the script: each write is a separate entry.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { defaultQueue, fillBacklog } from '../backlog.ts';
import type { BenchRedis } from '../rig.ts';
import { batchSizeMax } from '../../src/store/accept/accept-batch.ts';
import type { Row, Section } from '../section.ts';
import { round } from '../statistics.ts';

export const disk: Section = {
  name: 'disk',
  title: 'Bytes of the append-only file for each callback',
  async run(rig) {
    const redis = await rig.startRedis();
    await fillBacklog(redis, 'first', 1); // the first callback of a queue writes more
    const rows: Row[] = [];
    const summary: Record<string, number> = {};
    for (const batch of [1, batchSizeMax]) {
      const before = (await readAppended(redis)).length;
      const bodies = await fillBacklog(redis, `batch${batch}x`, batch);
      const text = (await readAppended(redis)).slice(before);
      for (const [what, { count, bytes }] of byCommand(text))
        rows.push({ batch, what, entries: count, 'bytes a callback': round(bytes / batch, 1) });
      summary[`body, batch of ${batch}`] = round(bodies / batch);
      summary[`written, batch of ${batch}`] = round(text.length / batch);
    }
    await redis.stop();
    return { rows, summary };
  },
};

/** One byte per character. */
async function readAppended({ dir }: BenchRedis): Promise<string> {
  const folder = path.join(dir, 'appendonlydir');
  const names = (await readdir(folder)).filter((name) => name.includes('.incr.'));
  return (await Promise.all(names.map((name) => readFile(path.join(folder, name), 'latin1')))).join('');
}

function byCommand(text: string): Map<string, { count: number; bytes: number }> {
  const found = new Map<string, { count: number; bytes: number }>();
  for (const { args, bytes } of entriesOf(text)) {
    const [command = '', key = ''] = args;
    const what = `${command.toUpperCase()} ${keyKind(key)}`.trim();
    const { count, bytes: sum } = found.get(what) ?? { count: 0, bytes: 0 };
    found.set(what, { count: count + 1, bytes: sum + bytes });
  }
  return found;
}

/** `/c:` of a claim, `:wait`, `:JOB` of a job. */
function keyKind(key: string): string {
  const own = key.replace(defaultQueue.base, '');
  return own.replace(/^(\/[a-z]:)[\w-]{16}$/, '$1').replace(/^:[\w-]{16}\..*$/, ':JOB');
}

/** Redis's protocol: `*2`, then for each argument `$3`, and the argument. */
function* entriesOf(text: string): Generator<{ args: string[]; bytes: number }> {
  for (let at = 0; at < text.length;) {
    const start = at;
    const readNumber = () => {
      const end = text.indexOf('\r\n', at);
      const number = Number(text.slice(at + 1, end));
      at = end + 2;
      return number;
    };
    const args = Array.from({ length: readNumber() }, () => {
      const length = readNumber();
      at += length + 2;
      return text.slice(at - length - 2, at - 2);
    });
    yield { args, bytes: at - start };
  }
}
