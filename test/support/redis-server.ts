// Finds or installs a Redis server for the quickstart and the tests: from the PATH, otherwise the distribution's packages
// unpacked below `.tools` (Debian, Ubuntu), otherwise Homebrew, otherwise a container engine.
//
// Promises: each step is announced before it runs; a second run needs no step. Only Homebrew installs system-wide, because
// it has no other way. Fails with one sentence that says what to install.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { canUnpackDebianPackages, environmentOf, unpackDebianPackages } from './unpack-debian-packages.ts';

export interface RedisServer {
  readonly command: string;
  /** Additional environment variables for the command. */
  readonly env: Readonly<Record<string, string>>;
}

export interface RedisServerOptions {
  readonly say: (text: string) => void;
  readonly home?: string;
  readonly searchPath?: string;
  /** Whether packages of Debian or Ubuntu can be unpacked here. */
  readonly debian?: boolean;
}

/** BullMQ's recommended minimum; older servers lack commands that it uses. */
const versionNeeded = [6, 2] as const;
const brewPlaces = ['/opt/homebrew/bin', '/usr/local/bin', '/home/linuxbrew/.linuxbrew/bin'];
const names = ['valkey-server', 'redis-server'] as const;
const root = path.resolve(import.meta.dirname, '../..');

export async function ensureRedisServer(options: RedisServerOptions): Promise<RedisServer> {
  const { say, home = path.join(root, '.tools', 'redis'), searchPath = process.env['PATH'] ?? '' } = options;
  const folders = searchPath.split(path.delimiter).filter((folder) => folder !== '');
  const onPath = firstUsable(folders);
  if (onPath !== undefined) return onPath;

  const failures: string[] = [];
  const unpacked = () => firstUsable([path.join(home, 'usr', 'bin')], environmentOf(home));
  if (options.debian ?? canUnpackDebianPackages()) {
    const found = unpacked();
    if (found !== undefined) return found;
    try {
      say('There is no Redis server on this machine: unpacking one privately into .tools/redis (once, some seconds)');
      // redis-server is a link to a program of redis-tools, which also contains redis-cli and redis-sentinel.
      await unpackDebianPackages({ names: ['redis-server', 'redis-tools', 'redis-sentinel'], into: home, say });
      const server = unpacked();
      if (server !== undefined) return server;
      failures.push('what was unpacked does not run');
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }

  const brew = firstFile(folders.concat(options.searchPath === undefined ? brewPlaces : []), 'brew');
  if (brew !== undefined) {
    say('There is no Redis server on this machine: installing one with Homebrew (brew install valkey)');
    const { status } = spawnSync(brew, ['install', 'valkey'], { stdio: ['ignore', 'inherit', 'inherit'] });
    const server = firstUsable([path.dirname(brew)]);
    if (server !== undefined) return server;
    failures.push(`brew install valkey ended with ${status}`);
  }

  const engine = ['docker', 'podman'].map((name) => firstFile(folders, name)).find(answers);
  if (engine !== undefined) {
    say(`There is no Redis server on this machine: running one in a container with ${path.basename(engine)}`);
    return { command: path.join(import.meta.dirname, 'redis-in-container.mjs'), env: { CONTAINER_ENGINE: engine } };
  }

  for (const failure of failures) say(failure);
  throw new Error(
    'No Redis server could be found or installed: install Redis or Valkey (6.2 or newer) so that redis-server is on the PATH, and run this again.',
  );
}

function firstUsable(folders: readonly string[], env: Readonly<Record<string, string>> = {}): RedisServer | undefined {
  return names
    .map((name) => firstFile(folders, name))
    .filter((file) => file !== undefined)
    .map((command) => ({ command, env }))
    .find(isUsable);
}

/** Whether it starts and is new enough: `Redis server v=7.0.15 sha=...`. */
function isUsable({ command, env }: RedisServer): boolean {
  const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  const [, major, minor] = /v=(\d+)\.(\d+)/.exec(status === 0 ? stdout : '') ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) > versionNeeded[0] || (Number(major) === versionNeeded[0] && Number(minor) >= versionNeeded[1]);
}

function firstFile(folders: readonly string[], name: string): string | undefined {
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
}

function answers(engine: string | undefined): boolean {
  return engine !== undefined && spawnSync(engine, ['info'], { stdio: 'ignore', timeout: 10_000 }).status === 0;
}
