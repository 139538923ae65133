import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createSpool, type Spool, type SpoolOptions } from '../../src/intake/spool/spool.ts';
import { listSpool } from '../../src/intake/spool/spool-by-hand.ts';
import { createSpooledCallbacks } from '../../src/ops/spooled-callbacks.ts';
import { canFillDisk, makeSmallDisk } from '../support/small-disk.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { callbacksOf, refusedEntry, spoolEntry } from './spool-entry.ts';

vi.setConfig({ testTimeout: 40_000 });

let dir: string;
let ends: (() => unknown)[];

beforeEach(async () => {
  dir = path.join(await makeTempDir('spool'), 'spool');
  ends = [() => rmSync(path.dirname(dir), { recursive: true, force: true })];
});

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
});

describe('what was stored', () => {
  test('is returned in order, with its nonce and its text byte for byte, and is gone once removed', async () => {
    const { spool } = await open();
    const entries = Array.from({ length: 700 }, (_, index) => spoolEntry(`r${index}`));
    const writes = await Promise.all(entries.map((entry) => spool.append(entry)));
    expect(new Set(writes.map(({ kind }) => kind))).toEqual(new Set(['stored']));
    expect(spool.stats().entries).toBe(700);

    const read: object[] = [];
    for (let batch = await spool.readBatch(callbacksOf(), 256); batch.entries.length > 0;) {
      read.push(...batch.entries.map(({ kind, brand, nonce, data }) => ({ kind, brand, nonce, data })));
      await spool.remove(callbacksOf(), batch);
      batch = await spool.readBatch(callbacksOf(), 256);
    }
    expect(read).toEqual(entries);
    expect(spool.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });

  test('is found by brand and reference, and not under another brand', async () => {
    const { spool } = await open();
    const entry = spoolEntry('with "quotes", ünïcode and \u0000', 'acme');
    await spool.append(entry);
    expect(await spool.find('acme', 'with "quotes", ünïcode and \u0000')).toEqual([entry.data]);
    expect(await spool.find('default', 'with "quotes", ünïcode and \u0000')).toEqual([]);
  });

  test('shares its fsync with entries that arrived meanwhile', async () => {
    const posted: unknown[] = [];
    const { spool } = await open({ startThread: countingThread(posted) });
    await Promise.all(Array.from({ length: 200 }, (_, index) => spool.append(spoolEntry(`r${index}`))));
    expect(posted.length).toBeLessThan(10);
  });

  test('lies in files of mode 0600 in a folder of mode 0700', async () => {
    const { spool } = await open();
    await spool.append(spoolEntry('r1'));
    const folder = path.join(dir, readdirSync(dir)[0] ?? '');
    expect(modeOf(folder)).toBe('700');
    expect(modeOf(dir)).toBe('700');
    expect(readdirSync(folder).toSorted()).toEqual(['spool.db', 'spool.db-wal']);
    for (const file of readdirSync(folder)) expect(modeOf(path.join(folder, file))).toBe('600');
  });

  test('leaves no files when the spool is closed empty', async () => {
    const { spool } = await open();
    await spool.close();
    expect(readdirSync(dir)).toEqual([]);
  });
});

test('large entries are read in batches bounded by bytes; lists go through all of them', async () => {
  const { spool } = await open();
  const references = Array.from({ length: 12 }, (_, index) => `r${index}`);
  for (const reference of references) await spool.append(spoolEntry(reference, 'default', 200_000));
  const batch = await spool.readBatch(callbacksOf(), 256);
  expect(batch.entries.length).toBeGreaterThan(1);
  expect(batch.entries.length).toBeLessThan(8);
  const listed = await createSpooledCallbacks(spool, ['default']).list(10, undefined);
  expect(listed.map(({ gatewayReference }) => gatewayReference)).toEqual(references.slice(0, 10));
  expect(JSON.stringify(listed)).not.toContain('xxxx');
  await spool.close();
  const [folder] = listSpool(dir);
  expect(folder?.callbacks.map(({ gatewayReference }) => gatewayReference)).toEqual(references);
});

describe('the size limit', () => {
  test('answers full, and accepts entries again once some are removed', async () => {
    const { spool } = await open({ maxBytes: 65_536 });
    const writes = await Promise.all(
      Array.from({ length: 200 }, (_, index) => spool.append(spoolEntry(`r${index}`, 'default', 1_000))),
    );
    const kinds = writes.map(({ kind }) => kind);
    expect(kinds[0]).toBe('stored');
    expect(kinds.at(-1)).toBe('full');
    expect(spool.stats().bytes).toBeLessThanOrEqual(65_536);
    const batch = await spool.readBatch(callbacksOf(), 10);
    await spool.remove(callbacksOf(), batch);
    expect(await spool.append(spoolEntry('again', 'default', 1_000))).toEqual({ kind: 'stored' });
  });
});

describe('a process that dies', () => {
  test('by SIGKILL in the middle of writing leaves everything it acknowledged to another process', async () => {
    const writer = startWriter(0);
    await writer.acknowledgedAtLeast(500);
    await writer.kill();
    const { spool } = await open();
    const references = await readAll(spool);
    expect(new Set(writer.acknowledged).difference(new Set(references))).toEqual(new Set());
    expect(references.length).toBeGreaterThanOrEqual(500);
  });

  test('with a torn last record loses only that record', async () => {
    const writer = startWriter(400);
    await writer.idle();
    await writer.kill();
    const wal = path.join(dir, readdirSync(dir)[0] ?? '', 'spool.db-wal');
    truncateSync(wal, statSync(wal).size - 1_000);
    const { spool } = await open();
    const references = await readAll(spool);
    // The torn last group of 20 is lost; every earlier entry exists, in order.
    expect(references.length).toBeGreaterThanOrEqual(380);
    expect(references.length).toBeLessThan(400);
    expect(writer.acknowledged.slice(0, 380)).toEqual(references.slice(0, 380));
  });

  test('keeps its subfolder while it lives, even frozen; once killed, it is adopted within half a minute', async () => {
    const writer = startWriter(40);
    await writer.idle();
    writer.child.kill('SIGSTOP');
    const { spool } = await open();
    await spool.adoptOrphans();
    expect(spool.stats().entries).toBe(0);
    await writer.kill();
    // The spool checks by itself, without a call.
    await vi.waitFor(() => expect(spool.stats().entries).toBe(40), { timeout: 30_000, interval: 50 });
  });

  test('is adopted by only one of two processes', async () => {
    const writer = startWriter(100);
    await writer.idle();
    const first = await open();
    const second = await open();
    await writer.kill();
    await Promise.all([first.spool.adoptOrphans(), second.spool.adoptOrphans()]);
    const counts = [first.spool.stats().entries, second.spool.stats().entries];
    expect(counts.toSorted((a, b) => a - b)).toEqual([0, 100]);
  });

  test('is adopted even if its clock said 1970 when it made the subfolder', async () => {
    const writer = startWriter(40, ['--import', 'data:text/javascript,Date.now = () => 1000 * 60']);
    await writer.idle();
    await writer.kill();
    expect(readdirSync(dir)[0]).toMatch(/^1aao-/);
    const { spool } = await open();
    expect(await readAll(spool)).toHaveLength(40);
    expect(readdirSync(dir)).toHaveLength(1);
  });

  test('has its subfolder deleted by the process that emptied it', async () => {
    const writer = startWriter(40);
    await writer.idle();
    await writer.kill();
    const { spool } = await open();
    expect(readdirSync(dir)).toHaveLength(2);
    await readAll(spool);
    expect(readdirSync(dir)).toHaveLength(1);
  });
});

describe('a folder that cannot be used', () => {
  test('is reported, makes appends fail at once, and is used as soon as it can be', async () => {
    writeFileSync(dir, 'a file stands where the folder should');
    const { spool, log } = await open();
    expect(spool.canStore()).toBe(false);
    expect(await spool.append(spoolEntry('r1'))).toMatchObject({ kind: 'failed' });
    expect(log.error).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.unusable' }));
    rmSync(dir);
    await vi.waitFor(() => expect(spool.canStore()).toBe(true), { timeout: 10_000, interval: 20 });
    expect(await spool.append(spoolEntry('r2'))).toEqual({ kind: 'stored' });
    expect(log.info).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.usable' }));
  });

  test('that is deleted under a running process is recreated, and its entries are still drained', async () => {
    const { spool } = await open();
    await spool.append(spoolEntry('before'));
    rmSync(dir, { recursive: true });
    expect(await spool.append(spoolEntry('after'))).toEqual({ kind: 'stored' });
    expect(readdirSync(dir)).toHaveLength(1);
    expect(await readAll(spool)).toEqual(['before', 'after']);
  });

  test.skipIf(!canFillDisk())(
    'on a full disk is reported; its entries are drained anyway, which makes room',
    async () => {
      const disk = makeSmallDisk(path.dirname(dir), 4);
      ends.push(() => disk.remove());
      const { spool, log } = await open();
      let taken = 0;
      while ((await spool.append(spoolEntry(`r${taken}`, 'default', 20_000))).kind === 'stored') taken += 1;
      expect(taken).toBeGreaterThan(20);
      expect(spool.canStore()).toBe(false);
      expect(log.error).toHaveBeenCalledWith(expect.objectContaining({ code: 'SPOOL_DISK_FULL' }));
      const makeRoom = disk.fill();
      // Not even a delete fits; still each entry is returned once, in order, and then the whole file is deleted.
      expect(await readAll(spool)).toEqual(Array.from({ length: taken }, (_, number) => `r${number}`));
      await vi.waitFor(() => expect(spool.canStore()).toBe(true), { timeout: 10_000, interval: 20 });
      makeRoom();
      expect(await spool.append(spoolEntry('again'))).toEqual({ kind: 'stored' });
    },
  );

  test.skipIf(!canFillDisk())('on a disk that is full from the start leaves no subfolder for each try', async () => {
    const disk = makeSmallDisk(path.dirname(dir), 1);
    ends.push(() => disk.remove());
    mkdirSync(dir);
    const makeRoom = disk.fill();
    const tried = new Set<string | null>();
    const watcher = watch(dir, (_event, name) => tried.add(name));
    ends.push(() => watcher.close());
    const { spool } = await open();
    await vi.waitFor(() => expect(tried.size).toBeGreaterThan(4), { timeout: 20_000, interval: 20 });
    expect(readdirSync(dir).length).toBeLessThan(2);
    makeRoom();
    await vi.waitFor(() => expect(spool.canStore()).toBe(true), { timeout: 10_000, interval: 20 });
    expect(readdirSync(dir)).toHaveLength(1);
  });

  test.skipIf(process.getuid?.() === 0)('that is read-only is reported', async () => {
    mkdirSync(dir);
    chmodSync(dir, 0o500);
    const { spool } = await open();
    expect(spool.canStore()).toBe(false);
    chmodSync(dir, 0o700);
    await vi.waitFor(() => expect(spool.canStore()).toBe(true), { timeout: 10_000, interval: 20 });
  });

  test('does not touch orphans that are not spools, and logs that once', async () => {
    const foreign = path.join(dir, 'mfx3k2q1-0a1b2c3d');
    mkdirSync(foreign, { recursive: true });
    writeFileSync(path.join(foreign, 'spool.db'), 'this is not a database, yet long enough to be looked at as one');
    const { spool, log } = await open();
    await spool.adoptOrphans();
    const logged = log.warn.mock.calls.filter(([line]) => line.event === 'spool.not_adopted');
    expect(logged).toEqual([[{ event: 'spool.not_adopted', folder: foreign, code: 'SPOOL_CORRUPT' }]]);
    expect(spool.canStore()).toBe(true);
  });
});

describe('a thread', () => {
  test('that hangs costs its callbacks the deadline, is reported and replaced; its successor adopts what it held', async () => {
    const { spool, log } = await open({ writeDeadlineMs: 300, threadHungMs: 600, startThread: hangingThread('hang') });
    expect(await spool.append(spoolEntry('stored'))).toEqual({ kind: 'stored' });
    expect(await spool.append(spoolEntry('hang'))).toEqual({ kind: 'failed', code: 'SPOOL_TIMEOUT' });
    await vi.waitFor(() => expect(spool.canStore()).toBe(false), { interval: 5 });
    expect(await spool.append(spoolEntry('meanwhile'))).toEqual({ kind: 'failed', code: 'SPOOL_TIMEOUT' });
    await vi.waitFor(() => expect(spool.canStore()).toBe(true), { timeout: 10_000, interval: 20 });
    expect(log.error).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.thread_hung' }));
    expect(await spool.append(spoolEntry('after'))).toEqual({ kind: 'stored' });
    await vi.waitFor(() => expect(spool.stats().entries).toBe(2), { timeout: 30_000, interval: 50 });
    expect(await readAll(spool)).toEqual(['stored', 'after']);
  });

  test('that dies fails its pending requests at once, and is replaced', async () => {
    const { spool } = await open({ writeDeadlineMs: 60_000, startThread: hangingThread('exit') });
    await spool.append(spoolEntry('stored'));
    expect(await spool.append(spoolEntry('exit'))).toEqual({ kind: 'failed', code: 'SPOOL_THREAD_DIED' });
    await vi.waitFor(() => expect(spool.stats()).toMatchObject({ problem: undefined, entries: 1 }), {
      timeout: 30_000,
      interval: 50,
    });
    expect(await readAll(spool)).toEqual(['stored']);
  });
});

describe('the quarantine in the spool', () => {
  const refused = { kind: 'quarantine', brand: 'default' } as const;

  test('keeps refused requests and drops the oldest beyond its limits', async () => {
    const { spool, log } = await open({ quarantineMaxBytes: 10_000 });
    const entries = [0, 1, 2, 3].map((number) => refusedEntry(`q${number}`, Buffer.alloc(2_100, number + 0xf0)));
    for (const entry of entries) expect(await spool.append(entry)).toEqual({ kind: 'stored' });
    const batch = await spool.readBatch(refused, 10);
    expect(batch.entries.map(({ kind, brand, nonce, data }) => ({ kind, brand, nonce, data }))).toEqual(
      entries.slice(1),
    );
    expect(log.warn).toHaveBeenCalledWith({ event: 'spool.quarantine_dropped', dropped: 1 });
    await spool.remove(refused, batch);
    expect(spool.stats().quarantineEntries).toBe(0);
  });
});

type LogLine = (fields: { event?: string }) => void;

async function open(options: Partial<SpoolOptions> = {}) {
  const log = { info: vi.fn<LogLine>(), warn: vi.fn<LogLine>(), error: vi.fn<LogLine>() };
  const spool = createSpool({ dir, maxBytes: 1e9, log, ...options });
  ends.push(() => spool.close());
  await spool.ready();
  return { spool, log };
}

async function readAll(spool: Spool): Promise<string[]> {
  const references: string[] = [];
  for (;;) {
    const batch = await spool.readBatch(callbacksOf(), 100);
    if (batch.entries.length === 0) return references;
    references.push(...batch.entries.map(({ data }) => String(JSON.parse(data).gatewayReference)));
    await spool.remove(callbacksOf(), batch);
  }
}

function startWriter(count: number, nodeFlags: readonly string[] = []) {
  const child: ChildProcess = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      ...nodeFlags,
      path.join(import.meta.dirname, 'spool-writer.ts'),
      dir,
      String(count),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const acknowledged: string[] = [];
  const idle = Promise.withResolvers<void>();
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      if (line === 'idle') idle.resolve();
      else acknowledged.push(line);
    });
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  ends.push(kill);
  return {
    child,
    acknowledged,
    kill,
    idle: () => idle.promise,
    acknowledgedAtLeast: (number: number) =>
      vi.waitFor(() => expect(acknowledged.length).toBeGreaterThanOrEqual(number), { timeout: 20_000, interval: 5 }),
  };
}

/** The real thread, except that the first one spins for ever, or exits, on a certain reference. */
function hangingThread(word: 'hang' | 'exit'): (options: object) => Worker {
  let started = 0;
  return (options) => {
    started += 1;
    const thread = new URL('../../src/intake/spool/spool-thread.ts', import.meta.url);
    const act = word === 'hang' ? 'for (;;);' : 'process.exit(1)';
    const trap = `require('node:worker_threads').parentPort.on('message', ({ request }) => {
      if (request.op === 'append' && request.entries[0].nonce === '.${word}') { ${act} }
    });`;
    const code = `${started === 1 ? trap : ''} import(${JSON.stringify(thread.href)});`;
    return new Worker(code, { eval: true, workerData: options });
  };
}

function countingThread(posted: unknown[]): (options: object) => Worker {
  return (options) => {
    const worker = new Worker(new URL('../../src/intake/spool/spool-thread.ts', import.meta.url), {
      workerData: options,
    });
    const post = worker.postMessage.bind(worker);
    worker.postMessage = (message: unknown) => {
      posted.push(message);
      post(message);
    };
    return worker;
  };
}

function modeOf(file: string): string {
  return (statSync(file).mode & 0o777).toString(8);
}

test('the lock is one that two connections of one process respect as well', async () => {
  const { spool } = await open();
  await spool.append(spoolEntry('r1'));
  const file = path.join(dir, readdirSync(dir)[0] ?? '', 'spool.db');
  const other = new DatabaseSync(file, { timeout: 0 });
  expect(() => other.exec('BEGIN EXCLUSIVE')).toThrow(/locked/);
  other.close();
  expect(await spool.append(spoolEntry('r2'))).toEqual({ kind: 'stored' });
});
