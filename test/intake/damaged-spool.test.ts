// A page of the spool is overwritten: the entries on the other pages are drained, and the damaged file is kept.
import {
  closeSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSpool, type Spool } from '../../src/intake/spool/spool.ts';
import type { Owner } from '../../src/intake/spool/spool-owner.ts';
import { listDamaged } from '../../src/intake/spool/spool-salvage.ts';
import { createSpoolStore } from '../../src/intake/spool/spool-store.ts';
import { checkDamage } from '../../src/ops/doctor/doctor-spool.ts';
import { canFillDisk, makeSmallDisk } from '../support/small-disk.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { callbacksOf, spoolEntry } from './spool-entry.ts';

vi.setConfig({ testTimeout: 60_000 });

const entries = 400;
const log = {
  info: vi.fn<(line: object) => void>(),
  warn: vi.fn<(line: object) => void>(),
  error: vi.fn<() => void>(),
};
let dir: string;

beforeEach(async () => {
  dir = path.join(await makeTempDir('damaged'), 'spool');
  vi.clearAllMocks();
});

afterEach(() => rmSync(path.dirname(dir), { recursive: true, force: true }));

test.for([
  ['header page', 0],
  ['table root', 1],
  ['first index root', 3],
  ['page in the middle', 60],
  ['page near the end', 140],
] as const)(
  'with the %s overwritten the other entries are drained, even after a restart, and so are later ones',
  async ([, page]) => {
    const first = await open();
    for (let number = 0; number < entries; number += 1) await first.append(spoolEntry(`r${number}`, 'default', 1_000));
    await first.close();
    const folder = path.join(dir, readdirSync(dir)[0] ?? '');
    const file = path.join(folder, 'spool.db');
    expect(statSync(file).size).toBeGreaterThan(4_096 * (page + 1));
    overwrite(file, page * 4_096);

    const second = await open();
    await second.append(spoolEntry('later'));
    const drained = await readAll(second);
    expect(drained.length).toBeGreaterThan(entries - 20);
    expect(drained).toContain('later');
    expect(second.stats().entries).toBe(0);
    expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.damaged' }));
    expect(checkDamage(listDamaged(dir))).toMatchObject({ status: 'warning' });
    await second.close();
    expect(readdirSync(dir).filter((name) => !name.endsWith('.damaged'))).toEqual([]);
  },
);

test('frames after a damaged one in the log of a killed process are drained, too', async () => {
  const folder = path.join(dir, 'mfx3k2q1-0a1b2c3d');
  const store = createSpoolStore(folder, undefined);
  for (let number = 0; number < entries; number += 1) store.append([spoolEntry(`r${number}`)]);
  cpSync(folder, `${dir}.copy`, { recursive: true }); // the state when the process is killed
  store.close();
  rmSync(folder, { recursive: true });
  cpSync(`${dir}.copy`, folder, { recursive: true });
  const wal = path.join(folder, 'spool.db-wal');
  overwrite(wal, Math.floor(statSync(wal).size / 8_192) * 4_096);

  const second = await open();
  const drained = await readAll(second);
  expect(new Set(drained).size).toBe(entries); // each append rewrites its page, so every entry exists in several frames
  await second.close();
});

test('an entry that the index lacks is drained from its row', async () => {
  const first = await open();
  for (let number = 0; number < entries; number += 1) await first.append(spoolEntry(`r${number}`));
  await first.close();
  const file = path.join(dir, readdirSync(dir)[0] ?? '', 'spool.db');
  const database = new DatabaseSync(file);
  database.enableDefensive(false);
  database.exec('PRAGMA writable_schema = ON');
  // Like an outdated page of the index: valid, but without these rows.
  database.exec("UPDATE sqlite_schema SET sql = sql || ' WHERE id < 100' WHERE name = 'by_brand'");
  database.close();
  const reindexed = new DatabaseSync(file);
  reindexed.exec('REINDEX by_brand');
  reindexed.enableDefensive(false);
  reindexed.exec('PRAGMA writable_schema = ON');
  reindexed.exec("UPDATE sqlite_schema SET sql = replace(sql, ' WHERE id < 100', '') WHERE name = 'by_brand'");
  reindexed.close();

  const second = await open();
  const drained: string[] = [];
  await until(async () => {
    await second.queues();
    drained.push(...(await readAll(second)));
    return second.stats().entries === 0;
  });
  expect(new Set(drained).size).toBe(entries);
  await second.close();
});

test.for([
  ['of a small body', 300],
  ['of a body over several pages', 12_000],
] as const)('one changed byte %s never reaches the merchant; its neighbours do', async ([, bodyBytes]) => {
  const first = await open();
  for (let number = 0; number < 40; number += 1) await first.append(spoolEntry(`r${number}`, 'default', bodyBytes));
  await first.close();
  const folder = path.join(dir, readdirSync(dir)[0] ?? '');
  const file = path.join(folder, 'spool.db');
  const bytes = readFileSync(file);
  // A change that neither SQLite nor the JSON parser detects: another letter in the body of r20.
  bytes.write('y', bytes.indexOf('x'.repeat(250), bytes.indexOf('"gatewayReference":"r20"')) + 100);
  writeFileSync(file, bytes);

  const second = await open();
  const texts = await readTexts(second);
  expect(texts.filter((text) => text.includes('xyx'))).toEqual([]);
  expect(texts).toHaveLength(39);
  expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.damaged', unreadable: 1 }));
  expect(second.stats().entries).toBe(0);
  await second.close();
});

test('a changed byte in the index, which hides the entries of one brand, does not prevent their draining', async () => {
  const first = await open();
  for (let number = 0; number < entries; number += 1)
    await first.append(spoolEntry(`r${number}`, number % 4 === 0 ? 'other' : 'default'));
  await first.close();
  const file = path.join(dir, readdirSync(dir)[0] ?? '', 'spool.db');
  const bytes = readFileSync(file);
  const indexInterior = 0x02;
  for (let at = 4_096; at < bytes.length; at += 4_096) {
    const found = bytes.subarray(at, at + 4_096).indexOf('other');
    if (bytes[at] === indexInterior && found !== -1) bytes.write('nther', at + found);
  }
  expect(bytes.includes('nther')).toBe(true);
  writeFileSync(file, bytes);

  const second = await open();
  const drained = new Set<string>();
  await until(async () => {
    for (const { brand } of await second.queues()) for (const text of await readTexts(second, brand)) drained.add(text);
    return second.stats().entries === 0;
  });
  expect(drained.size).toBe(entries);
  await second.close();
});

test('entries of an earlier version, without checksums, are drained', async () => {
  const folder = path.join(dir, 'mfx3k2q1-0a1b2c3d');
  mkdirSync(folder, { recursive: true });
  copyFileSync(path.join(import.meta.dirname, 'spool-files', 'layout-0.db'), path.join(folder, 'spool.db'));
  const database = new DatabaseSync(path.join(folder, 'spool.db'));
  database.exec('ALTER TABLE callbacks DROP COLUMN checksum; ALTER TABLE quarantine DROP COLUMN checksum');
  database.exec('DELETE FROM callbacks; DELETE FROM quarantine');
  const insert = database.prepare('INSERT INTO callbacks (brand, nonce, bytes, data) VALUES (?, ?, ?, ?)');
  const { brand, nonce, data } = spoolEntry('r');
  insert.run(brand, nonce, 600, data);
  database.close();
  const second = await open();
  expect(await readAll(second)).toEqual(['r']);
  await second.close();
});

test.skipIf(!canFillDisk())(
  'a damaged file on a full disk leaves no partial copy, and is saved once there is space',
  async () => {
    const disk = makeSmallDisk(path.dirname(dir), 16);
    try {
      const first = await open();
      for (let number = 0; number < 200; number += 1) await first.append(spoolEntry(`r${number}`, 'default', 12_000));
      await first.close();
      overwrite(path.join(dir, readdirSync(dir)[0] ?? '', 'spool.db'), 0);
      disk.grow(5); // space for a part of it
      const second = await open();
      await until(async () => {
        await second.adoptOrphans();
        return readdirSync(dir).some((name) => name.endsWith('.salvage'));
      });
      for (let tries = 0; tries < 3; tries += 1) await second.adoptOrphans();
      expect(readdirSync(dir).filter((name) => !name.endsWith('.salvage')).length).toBeLessThan(2); // its own
      disk.grow(16);
      await until(async () => {
        await second.adoptOrphans();
        return second.stats().entries > 190;
      });
      expect((await readAll(second)).length).toBeGreaterThan(190);
      await second.close();
    } finally {
      disk.remove();
    }
  },
);

test('a file of which nothing can be read is set aside and reported, if the folder is marked as ours', async () => {
  const owner = { servers: ['127.0.0.1:6379'], master: '', db: 0, queue: '{payalo}:payalo-callbacks' };
  const first = await open(owner);
  await first.append(spoolEntry('r'));
  await first.close();
  const folder = path.join(dir, readdirSync(dir)[0] ?? '');
  truncateSync(path.join(folder, 'spool.db'), 100);

  const second = await open(owner);
  await second.append(spoolEntry('later'));
  await until(() => listDamaged(dir).length === 1);
  expect(await readAll(second)).toEqual(['later']);
  expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.damaged', salvaged: 0 }));
  expect(checkDamage(listDamaged(dir))).toMatchObject({ status: 'warning' });
  await second.close();
});

function overwrite(file: string, at: number): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(4_096, 0xa5), 0, 4_096, at);
  closeSync(descriptor);
}

async function open(owner?: Owner): Promise<Spool> {
  const spool = createSpool({ dir, maxBytes: 1e9, log, owner });
  await spool.ready();
  return spool;
}

async function readAll(spool: Spool): Promise<string[]> {
  return (await readTexts(spool)).map((text) => String(JSON.parse(text).gatewayReference));
}

async function readTexts(spool: Spool, brand = 'default'): Promise<string[]> {
  const texts: string[] = [];
  for (let tries = 0; tries < 50; tries += 1) {
    const batch = await spool.readBatch(callbacksOf(brand), 100);
    texts.push(...batch.entries.map(({ data }) => data));
    await spool.remove(callbacksOf(brand), batch);
    if (spool.stats().entries === 0) return texts;
  }
  return texts;
}
