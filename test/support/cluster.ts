// A Redis Cluster: three primaries with a replica each, all real processes.
import { Redis } from 'ioredis';
import * as z from 'zod';
import { freePort } from './private-redis.ts';
import { redisTlsSettings, type Certificates } from './certificates.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { until } from './until.ts';

const slotCount = 16_384;
const primaryCount = 3;
const patience = { timeoutMs: 60_000 };

interface Node {
  readonly server: TestRedis;
  readonly admin: Redis;
  /** The addresses for clients, with or without TLS. */
  readonly port: number;
  readonly busPort: number;
}

export interface RedisCluster extends AsyncDisposable {
  readonly url: string;
  /** The server that currently owns the slot of a key. */
  ownerOf(key: string): Promise<TestRedis>;
}

export interface ClusterOptions {
  readonly tls?: Certificates;
  /** An additional user on every node, as the words of an ACL line. */
  readonly user?: readonly string[];
}

export async function startCluster({ tls, user = [] }: ClusterOptions = {}): Promise<RedisCluster> {
  const disposables = new AsyncDisposableStack();
  const start = async (): Promise<Node> => {
    const [tlsPort, busPort] = [await freePort(), await freePort()];
    const settings = tls === undefined ? [] : [...redisTlsSettings(tls, tlsPort), '--tls-cluster', 'yes'];
    const server = disposables.use(
      await startRedis({
        args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-port', String(busPort)]
          // A primary that is down must not affect the brands on the others.
          .concat(['--cluster-require-full-coverage', 'no', '--repl-diskless-sync-delay', '0'])
          .concat(settings, user.length === 0 ? [] : ['--user', ...user]),
      }),
    );
    const admin = new Redis(server.url, { commandTimeout: 1_000 });
    admin.on('error', () => {}); // the server may be killed by the test
    disposables.defer(() => admin.disconnect());
    return { server, admin, port: tls === undefined ? server.port : tlsPort, busPort };
  };
  const nodes = await Promise.all(Array.from({ length: 2 * primaryCount }, start));
  await form(nodes);

  return {
    url: `${tls === undefined ? 'redis' : 'rediss'}+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    async ownerOf(key) {
      for (const { admin } of nodes) {
        const port = await ownerOfSlot(admin, key).catch(() => undefined);
        const owner = nodes.find(({ server }) => server.port === port);
        if (owner !== undefined) return owner.server;
      }
      throw new Error(`No node knows the owner of ${key}.`);
    },
    [Symbol.asyncDispose]: () => disposables.disposeAsync(),
  };
}

const slotRanges = z.array(
  z.tuple([z.number(), z.number(), z.tuple([z.string(), z.number()]).rest(z.unknown())]).rest(z.unknown()),
);

async function ownerOfSlot(admin: Redis, key: string): Promise<number | undefined> {
  const slot = Number(await admin.call('CLUSTER', 'KEYSLOT', key));
  const ranges = slotRanges.parse(await admin.call('CLUSTER', 'SLOTS'));
  return ranges.find(([first, last]) => first <= slot && slot <= last)?.[2][1];
}

/** The first half become primaries with a third of the slots each, the second half their replicas. */
async function form(nodes: readonly Node[]): Promise<void> {
  const primaries = nodes.slice(0, primaryCount);
  const boundary = (index: number) => Math.floor((slotCount * index) / primaryCount);
  for (const [index, { admin }] of primaries.entries()) {
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', boundary(index), boundary(index + 1) - 1);
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  const [first] = nodes;
  if (first === undefined) throw new Error('A cluster has nodes.');
  for (const { port, busPort } of nodes.slice(1)) await first.admin.call('CLUSTER', 'MEET', '127.0.0.1', port, busPort);
  const allSay = (word: string) => async () => {
    const infos = await Promise.all(nodes.map(({ admin }) => admin.call('CLUSTER', 'INFO')));
    return infos.every((info) => String(info).includes(word));
  };
  await until(allSay(`cluster_known_nodes:${nodes.length}`), {
    ...patience,
    describe: 'every node to know every other',
  });
  for (const [index, { admin }] of nodes.slice(primaryCount).entries()) {
    const id = String(await primaries[index]?.admin.call('CLUSTER', 'MYID'));
    // Before the gossip has spread, a node may not know that the other is a primary.
    await until(async () => (await admin.call('CLUSTER', 'REPLICATE', id).catch(() => '')) === 'OK', patience);
  }
  await until(allSay('cluster_state:ok'), { ...patience, describe: 'the cluster to serve' });
  await until(
    async () => {
      const infos = await Promise.all(nodes.slice(primaryCount).map(({ admin }) => admin.info('replication')));
      return infos.every((info) => info.includes('master_link_status:up'));
    },
    { ...patience, describe: 'the replicas to be in sync' },
  );
}
