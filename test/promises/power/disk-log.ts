// What the processes of a test did to their files, and when: logged by disk-log.c, which is preloaded into them.
//
// A preloaded library rather than a tracer: strace slows down every traced call, and these tests race against fsyncs. The
// drawback: writes through stdio are not logged (Redis's base file, which is rewritten and synced as a whole).
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

export type DiskRecord =
  | ({ readonly kind: 'write'; readonly inode: bigint; readonly at: number; readonly bytes: Buffer } & Span)
  | ({ readonly kind: 'truncate'; readonly inode: bigint; readonly length: number } & Span)
  | ({ readonly kind: 'sync'; readonly inode: bigint } & Span)
  /** A name in a folder: of a new file, an additional name, or one that replaces another file's. */
  | ({ readonly kind: 'born' | 'renamed' | 'replaced'; readonly inode: bigint; readonly folder: bigint } & Span);

interface Span {
  /** Nanoseconds of the machine's monotonic clock: comparable between processes. */
  readonly begun: bigint;
  readonly ended: bigint;
}

const headBytes = 48;
/** The fsync time of a fast disk; a memory file system needs none. */
const syncUs = 4_000;
const source = path.join(import.meta.dirname, 'disk-log.c');

/** Undefined if it cannot be built or preloaded here: not Linux, or no C compiler. */
export function buildDiskLog(dir: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const library = path.join(dir, 'disk-log.so');
  const flags = ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl', '-pthread'];
  return spawnSync('cc', flags, { stdio: 'ignore' }).status === 0 ? library : undefined;
}

export type DiskLog = ReturnType<typeof createDiskLog>;

export function createDiskLog(library: string, dir: string) {
  mkdirSync(dir, { recursive: true });
  return {
    /** The environment of the processes whose files are logged. */
    env: { LD_PRELOAD: library, DISK_LOG: dir, DISK_LOG_SYNC_US: String(syncUs) },

    /** In the order in which they began. */
    read(): DiskRecord[] {
      const records = readdirSync(dir).flatMap((name) => parse(readFileSync(path.join(dir, name))));
      return records.toSorted((one, other) => Number(one.begun - other.begun));
    },

    clear(): void {
      for (const name of readdirSync(dir)) rmSync(path.join(dir, name));
    },
  };
}

function parse(log: Buffer): DiskRecord[] {
  const records: DiskRecord[] = [];
  for (let offset = 0; offset + headBytes <= log.length;) {
    const field = (index: number) => log.readBigUInt64LE(offset + 8 * index);
    const span = { begun: field(1), ended: field(2), inode: field(3) };
    const kind = String.fromCharCode(Number(field(0)));
    offset += headBytes;
    if (kind === 'W') {
      const length = Number(log.readBigUInt64LE(offset - 8));
      const bytes = log.subarray(offset, offset + length);
      records.push({ kind: 'write', ...span, at: Number(log.readBigUInt64LE(offset - 16)), bytes });
      offset += length;
    } else if (kind === 'T') {
      records.push({ kind: 'truncate', ...span, length: Number(log.readBigUInt64LE(offset - 16)) });
    } else if (kind === 'S') records.push({ kind: 'sync', ...span });
    else if (kind === 'N' || kind === 'R' || kind === 'D') {
      const folder = log.readBigUInt64LE(offset - 16);
      const names = { N: 'born', R: 'renamed', D: 'replaced' } as const;
      records.push({ kind: names[kind], ...span, folder });
    } else throw new Error(`The disk log has a record of unknown kind ${kind}.`);
  }
  return records;
}
