// Runs one of the project's programs: `node scripts/launch.mjs FILE [ARG...]`.
//
// Owns the set-up that every command needs and nobody should have to know about: the npm packages of the lockfile,
// and Node 24 where the machine's own Node is older. It is plain JavaScript for Node 20 without dependencies, because
// it runs before anything is installed. Whatever it installs lies below the checkout. It fails with one sentence.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const nodeMajorNeeded = 24;
const lockStaleMs = 30_000;

const [file, ...args] = process.argv.slice(2);
if (file === undefined) fail('Say what to run: node scripts/launch.mjs FILE [ARG...].');

const node = ensureNode();
ensurePackages(node);
run(node, [...nodeFlags(file), path.resolve(root, file), ...args]);

/** The path of a Node of at least the needed version: this one, or one installed from npm below `.tools`. */
function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= nodeMajorNeeded) return process.execPath;
  const home = path.join(root, '.tools', 'node24');
  const candidates = [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`];
  const find = () => candidates.map((name) => path.join(home, 'node_modules', name, 'bin', 'node')).find(existsSync);
  if (isCurrent(home, path.join(root, 'scripts', 'node24', 'package-lock.json')) && find()) return find();
  withLock('node24', () => {
    const lock = path.join(root, 'scripts', 'node24', 'package-lock.json');
    if (isCurrent(home, lock) && find()) return;
    say(
      `Node ${process.versions.node} is older than ${nodeMajorNeeded}: installing Node ${nodeMajorNeeded} from npm into .tools/node24 (once)`,
    );
    mkdirSync(home, { recursive: true });
    for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
      writeFileSync(path.join(home, name), readFileSync(path.join(root, 'scripts', 'node24', name)));
    }
    npm(process.execPath, ['ci', '--silent'], home, 'Node 24 could not be installed from npm.');
    if (!find())
      fail(
        `There is no Node ${nodeMajorNeeded} on npm for ${process.platform}-${process.arch}. Install Node ${nodeMajorNeeded} and run this again.`,
      );
    markCurrent(home, lock);
  });
  return find() ?? fail('Node 24 was installed but is not there. Delete .tools and run this again.');
}

/** Installs the packages of package-lock.json unless node_modules already holds exactly those. */
function ensurePackages(nodePath) {
  const lock = path.join(root, 'package-lock.json');
  if (!existsSync(lock)) return; // an installed package or an image: its packages came with it
  const home = path.join(root, 'node_modules');
  if (isCurrent(home, lock)) return;
  withLock('packages', () => {
    if (isCurrent(home, lock)) return;
    say('Installing the npm packages of package-lock.json (once, about ten seconds)');
    npm(
      nodePath,
      ['ci', '--no-audit', '--no-fund', '--loglevel=error'],
      root,
      'The npm packages could not be installed.',
    );
    markCurrent(home, lock);
  });
}

function stamp(lock) {
  return createHash('sha256').update(readFileSync(lock)).digest('hex');
}

function isCurrent(home, lock) {
  const file = path.join(home, '.installed');
  return existsSync(file) && readFileSync(file, 'utf8') === stamp(lock);
}

function markCurrent(home, lock) {
  writeFileSync(path.join(home, '.installed'), stamp(lock));
}

function npm(nodePath, npmArgs, cwd, message) {
  const cli = process.env.npm_execpath;
  const env = { ...process.env, PATH: `${path.dirname(nodePath)}${path.delimiter}${process.env.PATH}`, NODE_ENV: '' };
  for (const name of Object.keys(env))
    if (/^npm_(config|package|lifecycle)_/i.test(name) && !/registry|cafile|proxy|userconfig|globalconfig/i.test(name))
      delete env[name];
  const result = cli?.endsWith('.js')
    ? spawnSync(nodePath, [cli, ...npmArgs], { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] })
    : spawnSync('npm', npmArgs, { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.status !== 0) fail(`${message} Is the npm registry reachable? The lines above say more.`);
}

/** Two commands started at once in a fresh clone must not install into one folder at the same time. */
function withLock(name, action) {
  const folder = path.join(root, '.tools');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${name}.lock`);
  let told = false;
  for (;;) {
    try {
      closeSync(openSync(file, 'wx'));
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (isStale(file)) rmSync(file, { force: true });
      else {
        if (!told) say('Another command is installing; waiting for it');
        told = true;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      }
    }
  }
  // The holder blocks in spawnSync, so a child touches the lock for it; a lock nobody touches is a dead holder's.
  const toucher = spawn(
    process.execPath,
    [
      '-e',
      `const fs=require('fs');const t=()=>{try{process.kill(${process.pid},0);const n=new Date();fs.utimesSync(${JSON.stringify(file)},n,n)}catch{process.exit()}};setInterval(t,2000)`,
    ],
    { stdio: 'ignore' },
  );
  toucher.unref();
  try {
    utimesSync(file, new Date(), new Date());
    return action();
  } finally {
    toucher.kill();
    rmSync(file, { force: true });
  }
}

function isStale(file) {
  try {
    return Date.now() - statSync(file).mtimeMs > lockStaleMs;
  } catch {
    return false;
  }
}

/** node:sqlite is stable in use but still announces itself as experimental on Node 24; that line is noise to a user. */
function nodeFlags(name) {
  return name.endsWith('.ts') ? ['--disable-warning=ExperimentalWarning', '--enable-source-maps'] : [];
}

function run(nodePath, nodeArgs) {
  const env = {
    ...process.env,
    PATH: [path.dirname(nodePath), path.join(root, 'node_modules', '.bin'), process.env.PATH].join(path.delimiter),
  };
  const child = spawn(nodePath, nodeArgs, { stdio: 'inherit', env });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${nodePath} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
