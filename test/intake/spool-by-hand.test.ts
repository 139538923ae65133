import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { drainSpoolByHand, listSpool } from '../../src/intake/spool/spool-by-hand.ts';
import { createSpool, type SpoolEntry } from '../../src/intake/spool/spool.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { spoolEntry } from './spool-entry.ts';

const log = { info: () => {}, warn: () => {}, error: () => {} };
const refuse = async (): Promise<never> => expect.unreachable('nothing of this kind lies there');

test('lists the contents of unlocked subfolders, and marks damaged ones', async () => {
  const dir = await abandoned('a', 'b');
  mkdirSync(path.join(dir, 'mfx3k2q1-0a1b2c3d'));
  writeFileSync(path.join(dir, 'mfx3k2q1-0a1b2c3d', 'spool.db'), 'no database at all, and long enough to be read');
  const listing = listSpool(dir);
  expect(listing.map(({ state, entries }) => [state, entries]).toSorted()).toEqual([
    ['damaged', 0],
    ['free', 2],
  ]);
  const callbacks = listing.flatMap(({ callbacks }) => callbacks);
  expect(callbacks.map(({ gatewayReference, status }) => [gatewayReference, status])).toEqual([
    ['a', 'success'],
    ['b', 'success'],
  ]);
});

test('does not touch a running process’s subfolder', async () => {
  const dir = path.join(await makeTempDir('by-hand'), 'spool');
  const spool = createSpool({ dir, maxBytes: 1e9, log });
  await spool.ready();
  await spool.append(spoolEntry('held'));
  expect(listSpool(dir)).toMatchObject([{ state: 'in use' }]);
  const way = { submit: refuse, confirm: refuse, submitQuarantine: refuse, setAside: refuse };
  expect(await drainSpoolByHand({ dir, log, ...way })).toEqual({ drained: 0, left: 0, untouched: 1 });
  expect(await spool.append(spoolEntry('more'))).toEqual({ kind: 'stored' });
  await spool.close();
});

test('empties a folder, and deletes the subfolders', async () => {
  const dir = await abandoned('a', 'b', 'c');
  const submitted: SpoolEntry[] = [];
  const submit = async (entries: readonly SpoolEntry[]) => {
    submitted.push(...entries);
    return 'stored' as const;
  };
  const result = await drainSpoolByHand({
    dir,
    log,
    submit,
    confirm: refuse,
    submitQuarantine: refuse,
    setAside: refuse,
  });
  expect(result).toEqual({ drained: 3, left: 0, untouched: 0 });
  expect(submitted.map(({ nonce }) => nonce)).toEqual(['.a', '.b', '.c']);
  expect(listSpool(dir)).toEqual([]);
});

test('keeps everything if Redis does not accept it', async () => {
  const dir = await abandoned('a', 'b');
  const submit = async () => 'later' as const;
  const result = await drainSpoolByHand({
    dir,
    log,
    submit,
    confirm: refuse,
    submitQuarantine: refuse,
    setAside: refuse,
  });
  expect(result).toEqual({ drained: 0, left: 2, untouched: 0 });
  expect(listSpool(dir)).toMatchObject([{ state: 'free', entries: 2 }]);
});

test('creates no folder if there is none', async () => {
  const dir = path.join(await makeTempDir('by-hand'), 'nothing');
  const way = { submit: refuse, confirm: refuse, submitQuarantine: refuse, setAside: refuse };
  expect(await drainSpoolByHand({ dir, log, ...way })).toBeUndefined();
  expect(listSpool(dir)).toEqual([]);
});

/** A spool whose owner has ended. */
async function abandoned(...references: string[]): Promise<string> {
  const dir = path.join(await makeTempDir('by-hand'), 'spool');
  const spool = createSpool({ dir, maxBytes: 1e9, log });
  await spool.ready();
  for (const reference of references) await spool.append(spoolEntry(reference));
  await spool.close();
  return dir;
}
