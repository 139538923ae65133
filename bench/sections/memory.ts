// Redis memory per callback: while it waits, and of the claim that remains after delivery.
import { defaultQueue, fillBacklog, remember } from '../backlog.ts';
import { usedMemoryBytes } from '../rig.ts';
import { sized, type Section } from '../section.ts';
import { round } from '../statistics.ts';

export const memory: Section = {
  name: 'memory',
  title: 'Redis memory',
  async run(rig, size) {
    const redis = await rig.startRedis();
    const waiting = sized(size, 100_000, 1_000);
    const remembered = sized(size, 1_000_000, 10_000);
    const empty = await usedMemoryBytes(redis);
    const bodies = await fillBacklog(redis, 'memory', waiting);
    const full = await usedMemoryBytes(redis);
    const [merchantKey = ''] = await redis.client.keys(`${defaultQueue.base}/m:*`);
    const merchantBytes = Number(await redis.client.memory('USAGE', merchantKey));
    await redis.client.flushall();
    await fillBacklog(redis, 'memory', 1);
    const before = await usedMemoryBytes(redis);
    await remember(redis, remembered);
    const claimBytes = ((await usedMemoryBytes(redis)) - before) / remembered;
    await redis.stop();
    const waitingBytes = (full - empty) / waiting;
    const bodyBytes = bodies / waiting;
    return {
      rows: [
        { what: 'a waiting callback, all of it', count: waiting, 'bytes each': round(waitingBytes) },
        { what: 'its body', count: waiting, 'bytes each': round(bodyBytes) },
        { what: 'beyond its body: job, claim, index', count: waiting, 'bytes each': round(waitingBytes - bodyBytes) },
        { what: 'a remembered reference (its claim)', count: remembered, 'bytes each': round(claimBytes) },
        { what: 'the way from a merchant’s reference', count: 1, 'bytes each': merchantBytes },
      ],
      summary: {
        'bytes beyond the body': round(waitingBytes - bodyBytes),
        'bytes per remembered reference': round(claimBytes),
      },
    };
  },
};
