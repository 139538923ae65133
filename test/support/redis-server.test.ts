// Which Redis is chosen: with fake programs on the search path, because no machine has every kind.
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ensureRedisServer } from './redis-server.ts';
import { makeTempDir } from './temp-dir.ts';

async function machineWith(programs: Readonly<Record<string, string>>) {
  const searchPath = path.join(await makeTempDir('machine'), 'bin');
  await mkdir(searchPath);
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(path.join(searchPath, name), `#!/bin/sh\n${script}\n`);
    await chmod(path.join(searchPath, name), 0o755);
  }
  const messages: string[] = [];
  const say = (text: string) => void messages.push(text);
  const find = () => ensureRedisServer({ say, searchPath, home: path.join(searchPath, 'none'), debian: false });
  return { searchPath, messages, find };
}

const valkey8 = 'echo "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc bits=64"';
const redis7 = 'echo "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64"';
const redis5 = 'echo "Redis server v=5.0.7 sha=00000000:0 malloc=jemalloc bits=64"';

test('uses the server on the PATH, Valkey first, without a message', async () => {
  const both = await machineWith({ 'valkey-server': valkey8, 'redis-server': redis7 });
  expect(await both.find()).toEqual({ command: path.join(both.searchPath, 'valkey-server'), env: {} });
  expect(both.messages).toEqual([]);
  const redis = await machineWith({ 'redis-server': redis7 });
  expect(await redis.find()).toEqual({ command: path.join(redis.searchPath, 'redis-server'), env: {} });
});

test('uses no server that is too old or does not run', async () => {
  const machine = await machineWith({ 'redis-server': redis5, 'valkey-server': 'exit 127' });
  await expect(machine.find()).rejects.toThrow('6.2 or newer');
});

test('uses Homebrew, after announcing it', async () => {
  const machine = await machineWith({
    brew: `[ "$*" = "install valkey" ] || exit 1
      printf '#!/bin/sh\\n%s\\n' '${valkey8}' > "$(dirname "$0")/valkey-server" && chmod +x "$(dirname "$0")/valkey-server"`,
  });
  expect(await machine.find()).toEqual({ command: path.join(machine.searchPath, 'valkey-server'), env: {} });
  expect(machine.messages).toEqual([expect.stringContaining('brew install valkey')]);
});

test('runs a container if an engine answers, after announcing it', async () => {
  const deaf = await machineWith({ docker: 'exit 1' });
  await expect(deaf.find()).rejects.toThrow('No Redis server');
  const machine = await machineWith({ docker: 'exit 1', podman: '[ "$1" = info ] && exit 0; echo "$@"' });
  const { command, env } = await machine.find();
  expect(machine.messages).toEqual([expect.stringContaining('container with podman')]);
  const { stdout } = spawnSync(command, ['--port', '7001', '--bind', '127.0.0.1', '--dir', '/some/where'], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  expect(stdout).toMatch(/--publish 127\.0\.0\.1:7001:7001 --volume \/some\/where:\/data .*redis-server --port 7001/);
  expect(stdout.trimEnd()).toMatch(/--dir \/data$/);
});

test('fails with one sentence that says what to install', async () => {
  const machine = await machineWith({});
  await expect(machine.find()).rejects.toThrow(/install Redis or Valkey .* so that redis-server is on the PATH/);
});
