// `npm run site`: builds the documents as a site below .tools/site/pages, with search. Any static
// web server can serve it. Its packages are installed below .tools/site, apart from the product's. A broken link fails it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.dirname(import.meta.dirname);
const source = path.join(root, 'site');
const home = path.join(root, '.tools', 'site');
const parts = ['package.json', 'package-lock.json', '.npmrc'];

const isCurrent =
  existsSync(path.join(home, 'node_modules')) &&
  parts.every((name) => existsSync(path.join(home, name)) && sameText(path.join(source, name), path.join(home, name)));
if (!isCurrent) {
  console.log('Installing VitePress into .tools/site (once, some ten seconds)');
  mkdirSync(home, { recursive: true });
  for (const name of parts) copyFileSync(path.join(source, name), path.join(home, name));
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], home);
}
run(process.execPath, [path.join(home, 'node_modules/vitepress/bin/vitepress.js'), 'build', source], root);
console.log('The site: .tools/site/pages');

function sameText(one: string, other: string): boolean {
  return readFileSync(one, 'utf8') === readFileSync(other, 'utf8');
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
