// `npm run build`: compiles src and simulator to dist and puts beside the JavaScript what the compiler leaves out (Lua, JSON, the
// console's files).
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
// A script for browsers must not take the place of a compiled module of the same name.
for (const folder of ['src', 'simulator']) {
  cpSync(path.join(root, folder), path.join(target, folder), {
    recursive: true,
    force: false,
    errorOnExist: true,
    filter: (file) => !file.endsWith('.ts'),
  });
}
