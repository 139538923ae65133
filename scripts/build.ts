// `npm run build`: compiles src and simulator to dist, and copies the files that the compiler ignores (Lua, JSON, the console's
// files).
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';

const root = path.dirname(import.meta.dirname);
const target = path.join(root, 'dist');

rmSync(target, { recursive: true, force: true });
const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', path.join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
// A browser script must not overwrite a compiled module of the same name.
for (const folder of ['src', 'simulator']) {
  cpSync(path.join(root, folder), path.join(target, folder), {
    recursive: true,
    force: false,
    errorOnExist: true,
    filter: (file) => !file.endsWith('.ts'),
  });
}
