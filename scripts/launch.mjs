// Runs one of the project's programs: `node scripts/launch.mjs FILE [ARG...]`.
//
// Does the set-up that every command needs: the npm packages of the lockfile,
// and Node 24 where the machine's own Node is older. It is plain JavaScript for Node 20 without dependencies, because
// it runs before anything is installed. It installs only below the checkout. It fails with one sentence.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const nodeMajorNeeded = 24;
const lockTouchMs = 1_000;
const lockStaleMs = 10_000;

/** The running child, first npm and then the program: signals are forwarded to it. */
let child;
let isAskedToEnd = false;
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => {
    isAskedToEnd = true;
    if (child === undefined) process.exit(130);
    child.kill(signal);
  });
}

const [file, ...args] = process.argv.slice(2);
if (file === undefined) fail('Say what to run: node scripts/launch.mjs FILE [ARG...].');

const node = await ensureNode();
await ensurePackages(node);
await run(node, [...nodeFlags(file), path.resolve(root, file), ...args]);

/** The path of a Node that is new enough: this one, or one installed from npm below `.tools`. */
async function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= nodeMajorNeeded) return process.execPath;
  const source = path.join(root, 'scripts', 'node24');
  const lock = path.join(source, 'package-lock.json');
  const home = path.join(root, '.tools', 'node24');
  const candidates = [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`];
  const find = () => candidates.map((name) => path.join(home, 'node_modules', name, 'bin', 'node')).find(existsSync);
  if (isCurrent(home, lock) && find()) return find();
  await withLock('node24', async () => {
    if (isCurrent(home, lock) && find()) return;
    say(
      `Node ${process.versions.node} is older than ${nodeMajorNeeded}: installing Node ${nodeMajorNeeded} from npm into .tools/node24 (once)`,
    );
    mkdirSync(home, { recursive: true });
    for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
      writeFileSync(path.join(home, name), readFileSync(path.join(source, name)));
    }
    await npm(process.execPath, ['ci', '--silent'], home, 'Node 24 could not be installed from npm.');
    if (!find())
      fail(
        `There is no Node ${nodeMajorNeeded} on npm for ${process.platform}-${process.arch}. Install Node ${nodeMajorNeeded} and run this again.`,
      );
    markCurrent(home, lock);
  });
  return find() ?? fail('Node 24 was installed but is not there. Delete .tools and run this again.');
}

/** Installs the packages of package-lock.json unless node_modules already holds exactly those. */
async function ensurePackages(nodePath) {
  const lock = path.join(root, 'package-lock.json');
  if (!existsSync(lock)) return; // an installed package or an image already includes its packages
  const home = path.join(root, 'node_modules');
  if (isCurrent(home, lock)) return;
  await withLock('packages', async () => {
    if (isCurrent(home, lock)) return;
    say('Installing the npm packages of package-lock.json (once, some ten seconds)');
    const npmArgs = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await npm(nodePath, npmArgs, root, 'The npm packages could not be installed.');
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

/** The npm that runs this script, otherwise the one on the PATH; always on the given Node. */
async function npm(nodePath, npmArgs, cwd, message) {
  const cli = process.env.npm_execpath;
  const env = { ...process.env, PATH: `${path.dirname(nodePath)}${path.delimiter}${process.env.PATH}`, NODE_ENV: '' };
  // The variables that npm sets for its scripts must not configure another npm.
  for (const name of Object.keys(env))
    if (/^npm_(config|package|lifecycle)_/i.test(name) && !/registry|cafile|proxy|userconfig|globalconfig/i.test(name))
      delete env[name];
  const options = { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] };
  const { code } = cli?.endsWith('npm-cli.js')
    ? await finish(spawn(nodePath, [cli, ...npmArgs], options))
    : await finish(spawn('npm', npmArgs, options));
  if (isAskedToEnd) process.exit(130);
  if (code !== 0) fail(`${message} Is the npm registry reachable? The lines above say more.`);
}

/** Two commands started at once in a fresh clone must not install into one folder at the same time. */
async function withLock(name, action) {
  const folder = path.join(root, '.tools');
  const file = path.join(folder, `${name}.lock`);
  mkdirSync(folder, { recursive: true });
  for (let isAnnounced = false; !take(file); isAnnounced = true) {
    // The holder refreshes its lock while it runs.
    if (isStale(file)) rmSync(file, { force: true });
    else if (!isAnnounced) say('Another command is installing; waiting for it');
    await delay(200);
  }
  const toucher = setInterval(() => utimesSync(file, new Date(), new Date()), lockTouchMs);
  const release = () => rmSync(file, { force: true });
  process.once('exit', release); // `fail` exits
  await action();
  clearInterval(toucher);
  process.off('exit', release);
  release();
}

function take(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isStale(file) {
  try {
    return Date.now() - statSync(file).mtimeMs > lockStaleMs;
  } catch {
    return false;
  }
}

/** node:sqlite still prints an experimental warning on Node 24, which would only confuse users. */
function nodeFlags(name) {
  return name.endsWith('.ts') ? ['--disable-warning=ExperimentalWarning'] : [];
}

/** Ends like the program: with its exit code, or by the same signal. */
async function run(nodePath, nodeArgs) {
  const env = {
    ...process.env,
    PATH: [path.dirname(nodePath), path.join(root, 'node_modules', '.bin'), process.env.PATH].join(path.delimiter),
    // Caches the compiled TypeScript for the next start.
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? path.join(root, '.tools', 'compile-cache'),
  };
  const { code, signal } = await finish(spawn(nodePath, nodeArgs, { stdio: 'inherit', env }));
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

function finish(started) {
  child = started;
  return new Promise((resolve) => {
    started.on('error', (error) => fail(`${started.spawnfile} could not be started: ${error.message}`));
    started.on('exit', (code, signal) => {
      child = undefined;
      resolve({ code, signal });
    });
  });
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
