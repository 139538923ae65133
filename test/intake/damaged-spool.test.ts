// A page of the spool is overwritten: what lies on the other pages is drained, and the damaged file is kept.
import { closeSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSpool, type Spool } from '../../src/intake/spool.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { spoolEntry } from './spool-entry.ts';

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
] as const)('with the %s overwritten the others are drained, after a restart, and later ones too', async ([, page]) => {
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
  await second.close();
  expect(readdirSync(dir).filter((name) => !name.endsWith('.damaged'))).toEqual([]);
});

function overwrite(file: string, at: number): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(4_096, 0xa5), 0, 4_096, at);
  closeSync(descriptor);
}

async function open(): Promise<Spool> {
  const spool = createSpool({ dir, maxBytes: 1e9, log });
  await spool.ready();
  return spool;
}

async function readAll(spool: Spool): Promise<string[]> {
  const references: string[] = [];
  for (let tries = 0; tries < 50; tries += 1) {
    const batch = await spool.readBatch('default', 100);
    references.push(...batch.entries.map(({ data }) => String(JSON.parse(data).gatewayReference)));
    await spool.remove('default', batch);
    if (spool.stats().entries === 0) return references;
  }
  return references;
}
