// Temporary folders that are gone when the test process is, whether or not the test removed them itself.
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

let made: Set<string> | undefined;

/** A new empty folder; the name says what it is for. */
export async function makeTempDir(purpose = 'test'): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), `payalo-${purpose}-`));
  if (made === undefined) {
    const dirs = new Set<string>();
    process.once('exit', () => {
      for (const one of dirs) rmSync(one, { recursive: true, force: true });
    });
    made = dirs;
  }
  made.add(dir);
  return dir;
}
