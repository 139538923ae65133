// A spool file of another version: entries of layout 0 are drained, files of a later version are not touched.
import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createFromSpool, type Kept } from '../../src/intake/quarantine/quarantine-from-spool.ts';
import { createSpool, type Spool } from '../../src/intake/spool/spool.ts';
import { drainSpoolByHand, listSpool } from '../../src/intake/spool/spool-by-hand.ts';
import { canFillDisk, makeSmallDisk } from '../support/small-disk.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { spoolEntry } from './spool-entry.ts';

/** Written by the last version that made layout 0: four callbacks, and three refused requests, one of them cut off. */
const layout0 = path.join(import.meta.dirname, 'spool-files', 'layout-0.db');
const log = {
  info: vi.fn<(line: object) => void>(),
  warn: vi.fn<(line: object) => void>(),
  error: vi.fn<() => void>(),
};
let dir: string;
let file: string;

beforeEach(async () => {
  dir = path.join(await makeTempDir('layouts'), 'spool');
  vi.clearAllMocks();
  place();
});

afterEach(() => rmSync(path.dirname(dir), { recursive: true, force: true }));

test('the entries of layout 0 are converted, drained byte for byte, and then gone', async () => {
  await (await open()).close(); // converted once, and not again at the next start
  const spool = await open();
  expect(spool.stats()).toMatchObject({ entries: 4, quarantineEntries: 3 });
  await expectAll(spool);
  expect(spool.stats()).toMatchObject({ entries: 0, bytes: 0, quarantineEntries: 0 });
  await spool.close();
  expect(readdirSync(dir)).toEqual([]);
});

test('a list by hand shows it, and an older one without checksums', () => {
  const database = new DatabaseSync(file);
  database.exec('ALTER TABLE callbacks DROP COLUMN checksum; ALTER TABLE quarantine DROP COLUMN checksum');
  database.close();
  expect(listSpool(dir)).toMatchObject([
    { state: 'free', entries: 4, quarantineEntries: 3, callbacks: [{}, {}, {}, {}] },
  ]);
});

test('the readable part of a damaged one is drained, requests as well as callbacks', async () => {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(4_096, 0xa5), 0, 4_096, 0);
  closeSync(descriptor);
  const spool = await open();
  await expectAll(spool);
  expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.damaged', salvaged: 7 }));
  await spool.close();
});

test('a request with a changed byte is not converted, and the rest is', async () => {
  const bytes = readFileSync(file);
  const at = bytes.indexOf('request-2');
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, 'R', at);
  closeSync(descriptor);
  const spool = await open();
  expect(spool.stats()).toMatchObject({ entries: 4, quarantineEntries: 2 });
  expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.damaged', unreadable: 1 }));
  await spool.close();
});

test.skipIf(!canFillDisk())('on a full disk its callbacks are drained, and the requests converted later', async () => {
  rmSync(dir, { recursive: true });
  const disk = makeSmallDisk(path.dirname(dir), 1);
  try {
    place();
    const makeRoom = disk.fill();
    const spool = await open();
    expect(await callbacksIn(spool)).toHaveLength(4);
    expect(spool.stats()).toMatchObject({ entries: 0, quarantineEntries: 3 });
    await spool.close();
    makeRoom();
    const next = await open();
    await until(() => next.stats().quarantineEntries === 3);
    expect([...(await requestsIn(next)).keys()]).toContain('spool.e');
    await next.close();
  } finally {
    disk.remove();
  }
});

test('a later version’s subfolder is left unchanged, logged once, and listed as such', async () => {
  const database = new DatabaseSync(file);
  database.exec('PRAGMA user_version = 2');
  database.close();
  const before = readFileSync(file);
  const spool = await open();
  await spool.adoptOrphans();
  expect(log.warn.mock.calls).toEqual([[{ event: 'spool.of_later_version', folder: path.dirname(file) }]]);
  expect(spool.stats()).toMatchObject({ entries: 0, quarantineEntries: 0, damaged: 0 });
  expect(await spool.append(spoolEntry('own'))).toEqual({ kind: 'stored' });
  await callbacksIn(spool);
  await spool.close();
  expect(listSpool(dir)).toMatchObject([{ state: 'later version', entries: 0 }]);
  const way = { submit: refuse, confirm: refuse, submitQuarantine: refuse, setAside: refuse };
  expect(await drainSpoolByHand({ dir, log, ...way })).toEqual({ drained: 0, left: 0, untouched: 1 });
  expect(readFileSync(file).equals(before)).toBe(true);
});

function place(): void {
  file = path.join(dir, 'mfx3k2q1-0a1b2c3d', 'spool.db');
  mkdirSync(path.dirname(file), { recursive: true });
  copyFileSync(layout0, file);
}

async function expectAll(spool: Spool): Promise<void> {
  const texts = [spoolEntry('d', 'acme'), ...['a', 'b', 'c'].map((reference) => spoolEntry(reference))];
  expect((await callbacksIn(spool)).toSorted()).toEqual(texts.map(({ data }) => data).toSorted());
  const requests = await requestsIn(spool);
  expect(requests.size).toBe(3);
  expect(requests.get('spool.e')).toMatchObject({
    brand: 'default',
    reason: 'refused',
    isJob: true,
    raw: Buffer.from(spoolEntry('e').data),
  });
  const ofAcme = [...requests].filter(([, { brand }]) => brand === 'acme');
  expect(ofAcme.map(([id]) => id)).toEqual([expect.stringMatching(/^q/)]);
  expect(ofAcme[0]?.[1]).toMatchObject({
    reason: 'not-json',
    detail: 'no JSON',
    requestId: 'request-2',
    receivedAtMs: 1_800_000_000_000,
    headers: { 'user-agent': 'gw' },
    raw: Buffer.from([0xff, 0xfe, 0, 13, 10, 0x7b]),
  });
  const unreadable = [...requests.values()].filter(({ reason }) => reason === 'unreadable');
  expect(unreadable).toMatchObject([{ brand: 'default', raw: Buffer.from([0xff, 1]) }]);
}

/** Reads and removes all callbacks. */
async function callbacksIn(spool: Spool): Promise<string[]> {
  return (await takeAll(spool, 'callback')).map(({ data }) => data);
}

/** Reads and removes all refused requests, as the quarantine does. */
async function requestsIn(spool: Spool): Promise<Map<string, Kept>> {
  const requests = new Map<string, Kept>();
  const fromSpool = createFromSpool({
    store: async (id, kept) => void requests.set(id, kept),
    spool: undefined,
    brands: ['default', 'acme'],
    now: () => 1,
  });
  await fromSpool.submit(await takeAll(spool, 'quarantine'));
  return requests;
}

async function takeAll(spool: Spool, wanted: 'callback' | 'quarantine') {
  const taken = [];
  for (const queue of (await spool.queues()).filter(({ kind }) => kind === wanted)) {
    for (let batch = await spool.readBatch(queue, 100); batch.entries.length > 0;) {
      taken.push(...batch.entries);
      await spool.remove(queue, batch);
      batch = await spool.readBatch(queue, 100);
    }
  }
  return taken;
}

async function open(): Promise<Spool> {
  const spool = createSpool({ dir, maxBytes: 1e9, log });
  await spool.ready();
  return spool;
}

async function refuse(): Promise<never> {
  return expect.unreachable('nothing is drained');
}
