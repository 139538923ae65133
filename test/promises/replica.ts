// A replica of the world's Redis, connected through a proxy: its connection can be stalled, and it can be promoted.
import { Redis } from 'ioredis';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

export type Replica = Awaited<ReturnType<typeof startReplica>>;

export async function startReplica(primary: TestRedis) {
  const link = await startTcpProxy({ target: primary.port });
  const server = await startRedis({ args: ['--replicaof', `127.0.0.1 ${link.port}`] });
  const admin = new Redis(server.url, { maxRetriesPerRequest: null });
  admin.on('error', () => {}); // it is killed on purpose
  let isPromoted = false;

  async function untilInSync(): Promise<void> {
    await until(async () => (await admin.info('replication')).includes('master_link_status:up'), {
      timeoutMs: 20_000,
      describe: 'the replica to follow its primary',
    });
  }
  await untilInSync();

  return {
    server,
    link,
    untilInSync,
    /** Promotes it to primary. */
    async promote(): Promise<void> {
      await admin.call('REPLICAOF', 'NO', 'ONE');
      isPromoted = true;
    },
    promotedAdmin: () => (isPromoted ? admin : undefined),
    async stop(): Promise<void> {
      admin.disconnect();
      await server.stop();
      await link.stop();
    },
  };
}
