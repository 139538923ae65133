// Temporary folders that are removed when the test process ends, if the test has not removed them itself.
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

let made: Set<string> | undefined;

/** A new empty folder; `name` describes its purpose. */
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
