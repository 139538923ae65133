// A highly available Redis: a primary, two replicas, and three Sentinels that agree on a failover, all real processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { endWithThisProcess } from './end-with-this-process.ts';
import { freePort } from './private-redis.ts';
import { redisTlsSettings, type Certificates } from './certificates.ts';
import { redisServer, startRedis, type TestRedis } from './redis.ts';
import { makeTempDir } from './temp-dir.ts';
import { until } from './until.ts';

const masterName = 'payalo';
const sentinelCount = 3;
const patienceMs = 30_000;

export interface SentinelSet extends AsyncDisposable {
  readonly url: string;
  /** The present primary, according to the Sentinels. */
  primary(): Promise<TestRedis>;
  /** Resolves when the Sentinels have promoted another server. */
  failedOverFrom(server: TestRedis): Promise<void>;
}

export interface SentinelSetOptions {
  readonly tls?: Certificates;
  /** A user (not `default`) and password that the servers require; the URL contains them. */
  readonly redisLogin?: { readonly username: string; readonly password: string };
  /** A password that the Sentinels require. */
  readonly sentinelPassword?: string;
  /** A user of the Sentinels, as an ACL line: `name on >password +@all`. */
  readonly sentinelUser?: string;
}

export async function startSentinelSet(options: SentinelSetOptions = {}): Promise<SentinelSet> {
  const { tls, redisLogin, sentinelPassword } = options;
  const disposables = new AsyncDisposableStack();
  const servers: { readonly server: TestRedis; readonly port: number }[] = [];
  const start = async (...args: string[]) => {
    const port = await freePort();
    const listening = tls === undefined ? { port } : {};
    const settings = tls === undefined ? [] : redisTlsSettings(tls, port);
    const server = await startRedis({
      ...listening,
      args: [...prompt, ...settings, ...loginArgs(redisLogin), ...args],
    });
    disposables.use(server);
    servers.push({ server, port });
    return port;
  };
  const primaryPort = await start();
  const replicaOf = ['--replicaof', '127.0.0.1', String(primaryPort)];
  await Promise.all([start(...replicaOf), start(...replicaOf)]);

  const sentinelPorts: number[] = [];
  for (let count = 0; count < sentinelCount; count += 1) {
    const sentinel = await startSentinel(primaryPort, options);
    disposables.defer(() => sentinel.stop());
    sentinelPorts.push(sentinel.port);
  }
  const asked = new Redis(sentinelPorts[0] ?? 0, '127.0.0.1', {
    ...(tls !== undefined && { tls: { rejectUnauthorized: false } }),
    ...(sentinelPassword !== undefined && { password: sentinelPassword }),
  });
  asked.on('error', () => {}); // it may not be listening yet
  disposables.defer(() => asked.disconnect());
  const ask = async (...args: string[]) => String(await asked.call('SENTINEL', ...args));
  // A failover needs this: each Sentinel knows the two others, and both replicas are in sync.
  await until(
    async () => (await ask('CKQUORUM', masterName).catch(() => '')).startsWith(`OK ${sentinelCount} usable`),
    {
      timeoutMs: patienceMs,
      describe: 'the Sentinels to find each other',
    },
  );
  await until(async () => /slaves=2/.test(await asked.info('sentinel')), { timeoutMs: patienceMs });

  const portNow = async () => Number((await ask('GET-MASTER-ADDR-BY-NAME', masterName)).split(',')[1]);
  const scheme = tls === undefined ? 'redis+sentinel' : 'rediss+sentinel';
  const userInfo = redisLogin === undefined ? '' : `${redisLogin.username}:${redisLogin.password}@`;
  return {
    url: `${scheme}://${userInfo}${sentinelPorts.map((port) => `127.0.0.1:${port}`).join(',')}/${masterName}`,
    async primary() {
      const port = await portNow();
      const found = servers.find((one) => one.port === port);
      if (found === undefined) throw new Error(`The Sentinels name an unknown primary: ${port}`);
      return found.server;
    },
    async failedOverFrom(server) {
      const before = servers.find((one) => one.server === server)?.port;
      await until(async () => (await portNow()) !== before, { timeoutMs: patienceMs, describe: 'the failover' });
    },
    [Symbol.asyncDispose]: () => disposables.disposeAsync(),
  };
}

/** Replication without delays, so that tests need not wait for it. */
const prompt = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'];

function loginArgs(login: SentinelSetOptions['redisLogin']): string[] {
  if (login === undefined) return [];
  const { username, password } = login;
  const user = ['--user', username, 'on', `>${password}`, '~*', '&*', '+@all'];
  return [...user, '--requirepass', password, '--masterauth', password];
}

async function startSentinel(
  primaryPort: number,
  { tls, redisLogin, sentinelPassword, sentinelUser }: SentinelSetOptions,
) {
  const dir = await makeTempDir('sentinel');
  const port = await freePort();
  const file = path.join(dir, 'sentinel.conf');
  const listening =
    tls === undefined
      ? [`port ${port}`]
      : [
          'port 0',
          ...redisTlsSettings(tls, port)
            .join(' ')
            .split(' --')
            .map((line) => line.replace(/^--/, '')),
        ];
  const lines = [
    ...listening,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor ${masterName} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${masterName} 1000`,
    `sentinel failover-timeout ${masterName} 5000`,
    `sentinel parallel-syncs ${masterName} 2`,
    ...(redisLogin === undefined ? [] : [`sentinel auth-pass ${masterName} ${redisLogin.password}`]),
    ...(sentinelPassword === undefined ? [] : [`requirepass ${sentinelPassword}`]),
    ...(sentinelUser === undefined ? [] : [`user ${sentinelUser}`]),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const { command, env } = redisServer();
  const child = spawn(command, [file, '--sentinel'], {
    stdio: 'ignore',
    env: { ...process.env, ...env },
    detached: true,
  });
  endWithThisProcess(child);
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
