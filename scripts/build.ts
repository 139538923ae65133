// `npm run build`: checks the types of src and simulator and writes their declarations to dist. The JavaScript is the source with
// each type replaced by blanks, so a stack trace that names a line of dist/src/main.js names that line of src/main.ts, without a
// source map. Then copies the files that the compiler ignores (Lua, JSON, the console's files).
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';

const root = path.dirname(import.meta.dirname);
const target = path.join(root, 'dist');
const folders = ['src', 'simulator'];

rmSync(target, { recursive: true, force: true });
const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', path.join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

for (const file of globSync(
  folders.map((folder) => `${folder}/**/*.ts`),
  { cwd: root },
)) {
  const script = stripTypeScriptTypes(readFileSync(path.join(root, file), 'utf8'));
  writeFileSync(
    path.join(target, toJs(file)),
    script.replaceAll(/(?<=(?:from|import|import\()\s*)'\.[^']+\.ts'/g, toJs),
  );
}
// A browser script must not overwrite a compiled module of the same name.
for (const folder of folders) {
  cpSync(path.join(root, folder), path.join(target, folder), {
    recursive: true,
    force: false,
    errorOnExist: true,
    filter: (file) => !file.endsWith('.ts'),
  });
}

/** Keeps the length, and so the positions. */
function toJs(name: string): string {
  return name.replace(/\.ts(?='?$)/, '.js');
}
