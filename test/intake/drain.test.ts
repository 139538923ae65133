import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createDrain, type DrainDependencies } from '../../src/intake/drain.ts';
import { createSpool, type Spool, type SpoolEntry } from '../../src/intake/spool/spool.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { callbacksOf, refusedEntry, spoolEntry } from './spool-entry.ts';

let spool: Spool;
let dir: string;
const log = {
  info: vi.fn<(line: object) => void>(),
  warn: vi.fn<(line: object) => void>(),
  error: vi.fn<() => void>(),
};

beforeEach(async () => {
  dir = await makeTempDir('drain');
  spool = createSpool({ dir: path.join(dir, 'spool'), maxBytes: 1e9, log });
  await spool.ready();
  vi.clearAllMocks();
});

afterEach(async () => {
  await spool.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('drains', () => {
  test('each brand in the order in which its callbacks came, and deletes only what Redis confirmed', async () => {
    for (let number = 0; number < 600; number += 1) {
      await spool.append(spoolEntry(`${number}`, number % 2 === 0 ? 'default' : 'acme', 10));
    }
    const got = new Map<string, number[]>();
    let leftDuringSubmit = Number.POSITIVE_INFINITY;
    const drain = start({
      submit: async (entries) => {
        leftDuringSubmit = Math.min(leftDuringSubmit, spool.stats().entries);
        for (const entry of entries) got.set(entry.brand, [...(got.get(entry.brand) ?? []), numberOf(entry)]);
        return 'stored';
      },
    });
    await until(() => spool.stats().entries === 0);
    expect(leftDuringSubmit).toBeGreaterThan(0);
    expect(got.get('default')).toEqual(Array.from({ length: 300 }, (_, index) => index * 2));
    expect(got.get('acme')).toEqual(Array.from({ length: 300 }, (_, index) => index * 2 + 1));
    await drain.stop(1_000);
  });

  test('keeps everything while Redis does not accept it, and submits the same entries again', async () => {
    const entries = ['a', 'b', 'c'].map((reference) => spoolEntry(reference));
    for (const entry of entries) await spool.append(entry);
    const tries: SpoolEntry[][] = [];
    let isUp = false;
    const drain = start({
      submit: async (batch) => {
        tries.push([...batch]);
        return isUp ? 'stored' : 'later';
      },
    });
    await until(() => tries.length >= 3);
    expect(spool.stats().entries).toBe(3);
    isUp = true;
    drain.wake();
    await until(() => spool.stats().entries === 0);
    for (const batch of tries) expect(batch.map(({ nonce }) => nonce)).toEqual(entries.map(({ nonce }) => nonce));
    await drain.stop(1_000);
  });

  test('everything into Redis once while too few replicas confirm, then only looks it up, and deletes it when enough do', async () => {
    for (let number = 0; number < 600; number += 1) await spool.append(spoolEntry(`${number}`, 'default', 10));
    const got: number[] = [];
    let asked = 0;
    let replicasThere = false;
    const drain = start({
      submit: async (entries) => {
        got.push(...entries.map(numberOf));
        return replicasThere ? 'stored' : 'unconfirmed';
      },
      confirm: async (entries) => {
        asked += entries.length;
        return { outcome: replicasThere ? 'stored' : 'unconfirmed', gone: new Set() };
      },
    });
    await until(() => got.length === 600 && asked >= 3 * 256);
    await spool.append(spoolEntry('600', 'default', 10));
    await until(() => got.length === 601);
    expect(spool.stats().entries).toBe(601);
    replicasThere = true;
    drain.wake();
    await until(() => spool.stats().entries === 0);
    expect(got).toEqual(Array.from({ length: 601 }, (_, index) => index));
    await drain.stop(1_000);
  });

  test('everything into Redis again if a primary was lost with it', async () => {
    for (let number = 0; number < 600; number += 1) await spool.append(spoolEntry(`${number}`, 'default', 10));
    const has = new Set<number>();
    const drain = start({
      submit: async (entries) => {
        for (const entry of entries) has.add(numberOf(entry));
        return 'unconfirmed';
      },
      confirm: async (entries) => {
        const gone = entries.filter((entry) => !has.has(numberOf(entry)));
        return { outcome: 'unconfirmed', gone: new Set(gone.map(({ nonce }) => nonce)) };
      },
    });
    for (let lost = 0; lost < 2; lost += 1) {
      await until(() => has.size === 600);
      has.clear();
    }
    await until(() => has.size === 600);
    expect(spool.stats().entries).toBe(600);
    await drain.stop(1_000);
  });

  test('the entries after one that Redis refuses while too few replicas confirm', async () => {
    for (let number = 0; number < 600; number += 1) await spool.append(spoolEntry(`${number}`, 'default', 10));
    const got: number[] = [];
    const refusesFirst = (entries: readonly SpoolEntry[]) => entries.some((entry) => numberOf(entry) === 0);
    const drain = start({
      submit: async (entries) => {
        if (refusesFirst(entries)) return 'refused';
        got.push(...entries.map(numberOf));
        return 'unconfirmed';
      },
      confirm: async (entries) => ({
        outcome: 'unconfirmed',
        gone: new Set(entries.filter((entry) => numberOf(entry) === 0).map(({ nonce }) => nonce)),
      }),
    });
    await until(() => got.length >= 599);
    expect(got).toEqual(Array.from({ length: 599 }, (_, index) => index + 1));
    await drain.stop(1_000);
    expect(got).toHaveLength(599);
  });

  test('a brand although another one is held', async () => {
    await spool.append(spoolEntry('held', 'acme'));
    await spool.append(spoolEntry('goes', 'default'));
    const drain = start({ submit: async ([first]) => (first?.brand === 'acme' ? 'later' : 'stored') });
    await until(() => spool.stats().entries === 1);
    expect(await spool.queues()).toEqual([callbacksOf('acme')]);
    await drain.stop(1_000);
  });

  test('around an entry that is not a job, which it sets aside with its data', async () => {
    const broken = {
      kind: 'callback' as const,
      brand: 'default',
      nonce: '.broken',
      data: '{"version":1,"brand":"default"',
    };
    await spool.append(spoolEntry('before'));
    await spool.append(broken);
    await spool.append(spoolEntry('after'));
    const submitted: string[] = [];
    const aside: SpoolEntry[] = [];
    const drain = start({
      submit: async (entries) => {
        submitted.push(...entries.map(({ nonce }) => nonce));
        return 'stored';
      },
      setAside: async (entry) => {
        aside.push(entry);
        return 'stored';
      },
    });
    await until(() => spool.stats().entries === 0);
    expect(submitted).toEqual(['.before', '.after']);
    expect(aside).toEqual([expect.objectContaining(broken)]);
    await drain.stop(1_000);
  });

  test('quarantined requests as well', async () => {
    const refused = refusedEntry('q1', Buffer.from([0xff, 0]));
    await spool.append(refused);
    const moved: SpoolEntry[] = [];
    const drain = start({
      submitQuarantine: async (entries) => {
        moved.push(...entries);
        return 'stored';
      },
    });
    await until(() => spool.stats().quarantineEntries === 0);
    expect(moved).toEqual([expect.objectContaining(refused)]);
    await drain.stop(1_000);
  });

  test('around entries of a later version, which wait for that version', async () => {
    const laterOnes = ['x', 'y'].map((reference) => {
      const entry = spoolEntry(reference);
      return { ...entry, data: entry.data.replace('"version":1', '"version":2') };
    });
    const [x, y] = laterOnes;
    for (const entry of [spoolEntry('a'), x, spoolEntry('b'), y, spoolEntry('c')])
      if (entry !== undefined) await spool.append(entry);
    const submitted: string[] = [];
    const drain = start({
      submit: async (entries) => {
        submitted.push(...entries.map(({ nonce }) => nonce));
        return 'stored';
      },
    });
    await until(() => spool.stats().entries === 2);
    await spool.append(spoolEntry('d'));
    await until(() => submitted.length === 4);
    expect(submitted).toEqual(['.a', '.b', '.c', '.d']);
    expect(await drain.stop(5_000)).toBe(2);
    const logged = log.warn.mock.calls.flatMap(([line]) =>
      'event' in line && line.event === 'spool.of_later_version' ? [line] : [],
    );
    expect(logged).toEqual([expect.objectContaining({ brand: 'default', entries: 2 })]);
    const { entries } = await spool.readBatch(callbacksOf(), 10);
    expect(entries.map(({ nonce, data }) => ({ nonce, data }))).toEqual(
      laterOnes.map(({ nonce, data }) => ({ nonce, data })),
    );
  });

  test('on when submit throws', async () => {
    await spool.append(spoolEntry('a'));
    let tries = 0;
    const drain = start({
      submit: async () => {
        tries += 1;
        if (tries === 1) throw new Error('a bug');
        return 'stored';
      },
    });
    await until(() => spool.stats().entries === 0);
    expect(tries).toBe(2);
    await drain.stop(1_000);
  });
});

describe('stopping', () => {
  test('empties the spool first', async () => {
    for (let number = 0; number < 1_000; number += 1) await spool.append(spoolEntry(`${number}`, 'default', 10));
    const drain = start({ submit: async () => 'stored' });
    expect(await drain.stop(20_000)).toBe(0);
    expect(spool.stats().entries).toBe(0);
  });

  test('tries once if Redis is down, reports how many entries remain, and leaves them on disk', async () => {
    await spool.append(spoolEntry('a'));
    await spool.append(spoolEntry('b'));
    const drain = start({ submit: async () => 'later' });
    expect(await drain.stop(20_000)).toBe(2);
    expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ event: 'spool.left', entries: 2 }));
    await spool.close();
    spool = createSpool({ dir: path.join(dir, 'spool'), maxBytes: 1e9, log });
    await spool.ready();
    expect(spool.stats().entries).toBe(2);
  });

  test('ends at its deadline, even if submit hangs', async () => {
    await spool.append(spoolEntry('a'));
    const drain = start({ submit: () => new Promise(() => {}) });
    expect(await drain.stop(50)).toBe(1);
  });
});

function start(dependencies: Partial<DrainDependencies>) {
  const refuse = async (): Promise<never> => expect.unreachable('nothing of this kind lies in the spool');
  const drain = createDrain({
    spool,
    submit: refuse,
    confirm: refuse,
    submitQuarantine: refuse,
    setAside: refuse,
    log,
    ...dependencies,
  });
  drain.start();
  return drain;
}

function numberOf({ data }: SpoolEntry): number {
  return Number(JSON.parse(data).gatewayReference);
}
