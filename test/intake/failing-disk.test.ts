// An fsync fails: its entries are not acknowledged, and the file is no longer used. Linux reports the error once and then
// drops the pages, so the next fsync of the same file would succeed without them.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSpool } from '../../src/intake/spool/spool.ts';
import { listSpoolFolders } from '../../src/intake/spool/spool-folder.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { callbacksOf, refusedEntry, spoolEntry } from './spool-entry.ts';

type LogLine = (fields: object) => void;

const log = { info: vi.fn<LogLine>(), warn: vi.fn<LogLine>(), error: vi.fn<LogLine>() };
let dir: string;

beforeEach(async () => {
  dir = path.join(await makeTempDir('failing-disk'), 'spool');
  vi.clearAllMocks();
});
afterEach(() => rmSync(path.dirname(dir), { recursive: true, force: true }));

test.for([
  ['a callback', spoolEntry('unsafe')],
  ['a refused request', { ...refusedEntry('q1', Buffer.from('no JSON')), nonce: '.unsafe' }],
] as const)('%s whose fsync fails is not acknowledged; the next one goes to a new file', async ([, entry]) => {
  const spool = createSpool({ dir, maxBytes: 1e9, log, startThread: failingThread });
  await spool.ready();
  expect(await spool.append(spoolEntry('before'))).toEqual({ kind: 'stored' });
  expect(await spool.append(entry)).toEqual({ kind: 'failed', code: 'SPOOL_IO' });
  expect(spool.canStore()).toBe(false);
  expect(log.error).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.unusable', code: 'SPOOL_IO' }));
  await until(() => spool.canStore());
  expect(await spool.append(spoolEntry('after'))).toEqual({ kind: 'stored' });
  expect(listSpoolFolders(dir)).toHaveLength(2);
  const drained: string[] = [];
  for (let batch = await spool.readBatch(callbacksOf(), 10); batch.entries.length > 0;) {
    drained.push(...batch.entries.map(({ nonce }) => nonce));
    await spool.remove(callbacksOf(), batch);
    batch = await spool.readBatch(callbacksOf(), 10);
  }
  expect(drained).toEqual(['.before', '.after']);
  await spool.close();
});

/** The real thread, on a disk whose fsync fails when `.unsafe` is written. */
function failingThread(options: object): Worker {
  const thread = new URL('../../src/intake/spool/spool-thread.ts', import.meta.url);
  const trap = `
    const { DatabaseSync } = require('node:sqlite');
    const { exec } = DatabaseSync.prototype;
    let isFailing = false;
    require('node:worker_threads').parentPort.on('message', ({ request }) => {
      isFailing = request.op === 'append' && request.entries.some(({ nonce }) => nonce === '.unsafe');
    });
    DatabaseSync.prototype.exec = function (sql) {
      if (!isFailing || sql !== 'COMMIT') return exec.call(this, sql);
      isFailing = false;
      throw Object.assign(new Error('disk I/O error'), { errcode: 1034 });
    };`;
  return new Worker(`${trap} import(${JSON.stringify(thread.href)});`, { eval: true, workerData: options });
}
