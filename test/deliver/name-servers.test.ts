// A name server that does not answer affects only the destinations whose names it should resolve.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createNameLookups } from '../../src/http/name-lookups.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { addCallback } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });
let dir: string;
/**
 * Replaces the system's resolver: a name below `silent.test` blocks one of the process's threads, as getaddrinfo does
 * while its name server is silent; one below `shop.test` needs such a thread for a moment and is this machine.
 */
let resolver: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'names-'));
  const pipe = path.join(dir, 'never-written');
  execFileSync('mkfifo', [pipe]);
  resolver = path.join(dir, 'resolver.mjs');
  await writeFile(
    resolver,
    `import dns from 'node:dns';
     import fs from 'node:fs';
     import { syncBuiltinESMExports } from 'node:module';
     const real = dns.lookup;
     dns.lookup = (name, options, done) => {
       const callback = done ?? options;
       if (name.endsWith('silent.test')) return void fs.open(${JSON.stringify(pipe)}, 'r', callback);
       if (!name.endsWith('shop.test')) return real(name, options, done);
       fs.stat('/', () => {
         if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
         else callback(null, '127.0.0.1', 4);
       });
     };
     syncBuiltinESMExports();`,
  );
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

test.for([
  ['one brand', ['a']],
  ['nine brands', ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']],
] as const)(
  'with the name servers of %s silent, another brand gets all its callbacks, and its breaker stays closed',
  async ([, silent]) => {
    const healthy = createMerchantSimulator();
    const { port } = await healthy.up();
    const urls = [...silent.map((name) => `${name}=http://${name}.silent.test/`), `fine=http://pay.shop.test:${port}/`];
    const keys = [...silent, 'fine'].map((name) => `${name}=key-of-brand-${name}-0123456789`);
    const names = { QUEUE_NAME: `names-${silent.length}`, QUEUE_PREFIX: '{payalo}' };
    await using service = await startService({
      roles: ['work'],
      nodeFlags: ['--import', resolver],
      env: {
        ...names,
        REDIS_URL: redis.url,
        PAYALO_API_KEYS: keys.join(','),
        FORWARD_URL: urls.join(','),
        FORWARD_TIMEOUT: '2s',
      },
    });
    const { hostname: host, port: redisPort } = new URL(redis.url);
    const add = async (brand: string, number: number) => {
      const { name, prefix } = brandQueue(brand, names);
      const bull = new Queue(name, { prefix, connection: { host, port: Number(redisPort) } });
      for (let index = 0; index < number; index += 1) await addCallback(bull, { brand });
      await bull.close();
    };
    for (const brand of silent) await add(brand, 60);
    await until(() => service.logs.some(({ brand, error }) => brand === silent[0] && error === 'timeout'));
    await add('fine', 10);
    await until(() => healthy.uniqueIds().size === 10);
    const opened = service.logs.filter(({ event }) => event === 'breaker.opened').map(({ brand }) => brand);
    expect(opened).not.toContain('fine');
    expect(
      service.logs.filter(({ brand, verdict = 'delivered' }) => brand === 'fine' && verdict !== 'delivered'),
    ).toEqual([]);
    await healthy.down();
  },
);

const silentLog = createLog({ level: 'silent' });

test('the process that resolves names is restarted when it dies, and ends with the service', async () => {
  const names = createNameLookups({ namesMax: 4, log: silentLog });
  const resolve = async (name: string) =>
    new Promise((done) => names.lookup(name, { all: true }, (error, addresses) => done(error ?? addresses)));
  expect(await resolve('127.0.0.1')).toEqual([{ address: '127.0.0.1', family: 4 }]);
  const [pid = 0] = lookupProcesses();
  process.kill(pid, 'SIGKILL');
  await until(() => !lookupProcesses().includes(pid));
  await until(async () => Array.isArray(await resolve('127.0.0.1')));
  names.close();
  await until(() => lookupProcesses().length === 0);
});

/** The child processes that resolve names. */
function lookupProcesses(): number[] {
  const listed = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  return listed
    .split('\n')
    .filter((line) => line.includes('name-lookup-process'))
    .map((line) => Number(line.trim().split(' ')[0]));
}

test('a process that cannot be started because descriptors are exhausted fails a lookup and throws nothing', async () => {
  const program = path.join(dir, 'without-descriptors.ts');
  const source = new URL('../../src/http/name-lookups.ts', import.meta.url).href;
  await writeFile(
    program,
    `import { closeSync, openSync } from 'node:fs';
     import { createNameLookups } from ${JSON.stringify(source)};
     const lines = [];
     const { lookup, close } = createNameLookups({ namesMax: 1, log: { warn: (line) => lines.push(line) } });
     const awake = setInterval(() => undefined, 1_000);
     const held = [];
     try { for (;;) held.push(openSync('/dev/null')); } catch {}
     const answer = new Promise((resolve) => lookup('shop.test', { all: true }, (error) => resolve(error?.code)));
     for (const one of held) closeSync(one);
     console.log(JSON.stringify({ code: await answer, lines }));
     close();
     clearInterval(awake);`,
  );
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    'ulimit -n 100 && exec "$0" "$1"',
    process.execPath,
    program,
  ]);
  expect(JSON.parse(stdout)).toMatchObject({
    code: 'ETIMEOUT',
    lines: [{ event: 'lookups.process_ended', reason: expect.stringMatching(/EMFILE$/), lookedUpHere: true }],
  });
});
