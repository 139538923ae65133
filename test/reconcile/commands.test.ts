// The commands `reconcile`, `verify` and `payin`, as users run them: real processes, their output and exit codes.
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { countExpectations } from '../../src/store/reconciliation/expectations.ts';
import { simulatorKey } from '../../simulator/gateway.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { withRedis } from '../support/with-redis.ts';
import { runCli } from '../support/cli.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { createRig, isoAgo, type Rig } from './reconcile-rig.ts';

const minuteMs = 60_000;

const { server: redis } = await withRedis();

async function run(env: Readonly<Record<string, string>>, ...args: string[]) {
  const { code, out, err } = await runCli(args, { SPOOL_DIR: path.join(await makeTempDir('cli'), 'spool'), ...env });
  return { code, stdout: out, stderr: err };
}

const envOf = (rig: Rig, more: Readonly<Record<string, string>> = {}) => ({
  REDIS_URL: redis.url,
  QUEUE_PREFIX: rig.config.QUEUE_PREFIX,
  GATEWAY_BASE_URL: rig.config.GATEWAY_BASE_URL ?? '',
  GATEWAY_API_KEY: simulatorKey,
  RECONCILE_GRACE: '0ms',
  ...more,
});

describe('reconcile', () => {
  test('with --dry-run only counts; without it injects; a second run finds nothing', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    rig.gateway.addTransactions({ count: 3, createdAt: isoAgo(90 * minuteMs), everyMs: minuteMs });
    const dry = await run(envOf(rig), 'reconcile', '--from', '3h', '--dry-run');
    expect(dry.stdout).toMatch(/SEEN\s+KNOWN.*MISSING\s+INJECTED/);
    expect(dry.stdout).toMatch(/total\s+3\s+0\s+0\s+0\s+0\s+3\s+0\s+0/);
    expect(await rig.jobs()).toHaveLength(0);
    const wet = await run(envOf(rig), '--json', 'reconcile', '--from', '3h');
    expect(JSON.parse(wet.stdout)).toMatchObject({ total: { seen: 3, missing: 3, injected: 3 }, failures: [] });
    expect(await rig.jobs()).toHaveLength(3);
    const again = await run(envOf(rig), '--json', 'reconcile', '--from', '3h');
    expect(JSON.parse(again.stdout)).toMatchObject({ total: { seen: 3, known: 3, missing: 0 } });
    expect([dry.code, wet.code, again.code]).toEqual([0, 0, 0]);
  });

  test('reports what it excludes, and injects it with --force', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    rig.gateway.addTransactions({ createdAt: isoAgo(90 * minuteMs) });
    const env = envOf(rig, { RECONCILE_SINCE: isoAgo(60 * minuteMs) });
    const kept = await run(env, '--json', 'reconcile', '--from', '3h');
    expect(JSON.parse(kept.stdout)).toMatchObject({ total: { tooOld: 1, injected: 0 } });
    const forced = await run(env, '--json', 'reconcile', '--from', '3h', '--force');
    expect(JSON.parse(forced.stdout)).toMatchObject({ total: { tooOld: 0, injected: 1 } });
  });

  test('reads times without an offset as UTC, in any time zone: --from, RECONCILE_SINCE and the gateway’s own', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const local = (ms: number) => isoAgo(ms).replace('Z', '');
    const [bare] = rig.gateway.addTransactions({ createdAt: isoAgo(90 * minuteMs), merchantReferencePrefix: 'bare' });
    const reference = bare?.gatewayReference ?? '';
    const withoutOffsets = rig.gateway.bodyOf(reference).replace(/000Z"/g, '"');
    expect(withoutOffsets).not.toMatch(/\dZ"/);
    const base64 = Buffer.from(withoutOffsets).toString('base64');
    rig.gateway.misbehave(reference, { record: { kind: 'bytes', base64 } });
    const ask = (TZ: string, sinceMinutes: number, fromMinutes: number) =>
      run(
        envOf(rig, { TZ, RECONCILE_SINCE: local(sinceMinutes * minuteMs) }),
        '--json',
        'reconcile',
        '--dry-run',
        '--from',
        local(fromMinutes * minuteMs),
      );
    for (const TZ of ['Asia/Tokyo', 'America/New_York']) {
      expect(JSON.parse((await ask(TZ, 100, 120)).stdout)).toMatchObject({ total: { seen: 1, missing: 1, tooOld: 0 } });
      expect(JSON.parse((await ask(TZ, 80, 120)).stdout)).toMatchObject({ total: { seen: 1, missing: 0, tooOld: 1 } });
      expect(JSON.parse((await ask(TZ, 100, 80)).stdout)).toMatchObject({ total: { seen: 0 } });
    }
  });

  test('exits with 69 if the gateway refuses', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const { code, stderr } = await run(
      envOf(rig, { GATEWAY_API_KEY: 'not-a-key-of-the-gateway' }),
      'reconcile',
      '--from',
      '1h',
    );
    expect(code).toBe(69);
    expect(stderr).toContain('unauthorized');
  });
});

describe('verify', () => {
  test('exits with 0 if everything was delivered, with 1 and a line for each difference, with 2 if the period is too old', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const createdAtMs = Date.now() - 90 * minuteMs;
    const at = (ms: number) => new Date(createdAtMs + ms).toISOString();
    const [delivered, waiting, contradicted, missing] = rig.gateway
      .addTransactions({ count: 4, createdAt: at(0), everyMs: 1_000 })
      .map(({ gatewayReference }) => gatewayReference);
    if (!delivered || !waiting || !contradicted || !missing) throw new Error('there are four');
    const receive = async (reference: string) => rig.receive(rig.gateway.bodyOf(reference));
    await receive(delivered);
    await complete(rig);
    const period = ['verify', '--from', at(0), '--to', at(minuteMs)];
    await receive(waiting);
    await receive(contradicted);
    await rig.gateway.correct(contradicted, { status: 'failed' });
    const differing = await run(envOf(rig), ...period);
    expect(differing.stdout.split('\n')).toEqual([
      `default ${waiting} (bulk-1): success 100KES at the gateway, not delivered: success 100KES, queued`,
      `default ${contradicted} (bulk-2): failed at the gateway, received as success 100KES, queued`,
      `default ${missing} (bulk-3): success 100KES at the gateway, not received`,
      '4 ended at the gateway, 3 differ here.',
      '',
    ]);
    expect(differing.code).toBe(1);

    const justFirst = ['verify', '--from', at(0), '--to', at(1_000)];
    const same = await run(envOf(rig), '--json', ...justFirst);
    expect({ code: same.code, ...JSON.parse(same.stdout) }).toEqual({ code: 0, terminal: 1, differences: [] });

    const tooOld = await run(envOf(rig), 'verify', '--from', '15d');
    expect(tooOld.code).toBe(2);
    expect(tooOld.stderr).toContain('DEDUP_TTL');
  });

  test('names callbacks that the gateway does not know, and none that it lists elsewhere', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const [older, gone, list] = [2 * minuteMs, 2 * minuteMs, 50 * minuteMs].map((ms) => {
      const [added] = rig.gateway.addTransactions({ createdAt: isoAgo(ms) });
      return added?.gatewayReference ?? '';
    });
    const body = rig.gateway.bodyOf(older ?? '');
    for (const reference of [older, gone, list]) await rig.receive(rig.gateway.bodyOf(reference ?? ''));
    await rig.receive(body.replaceAll(older ?? '', 'invented-1'));
    for (let job = 0; job < 3; job += 1) await complete(rig);
    rig.gateway.deny(gone ?? '');
    const period = ['verify', '--from', isoAgo(minuteMs)]; // none of them was created in it
    const { code, stdout } = await run(envOf(rig), ...period);
    expect(stdout.split('\n').toSorted()).toEqual([
      '',
      '0 ended at the gateway, 2 differ here.',
      `default ${gone} (bulk-1): unknown at the gateway, received as success 100KES, delivered`,
      'default invented-1 (bulk-0): unknown at the gateway, received as success 100KES, queued',
    ]);
    expect(code).toBe(1);
    expect(rig.gateway.calls().status).toBe(2); // the lists name the others
  });

  test('proves nothing if the gateway does not answer', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    rig.gateway.setOutage({ kind: 'answer', status: 403 });
    expect((await run(envOf(rig), 'verify', '--from', '1h')).code).toBe(69);
  });
});

/** What a worker does to the one job that waits. */
async function complete({ redis: connection, queue }: Rig): Promise<void> {
  const id = (await connection.rpop(`${queue.base}:wait`)) ?? '';
  await connection.hset(`${queue.base}:${id}`, 'returnvalue', '{"at":1,"status":200,"ms":1,"attempt":1}');
  await connection.zadd(`${queue.base}:completed`, Date.now(), id);
}

describe('payin', () => {
  const asked = ['mpesa-ke', '--currency', 'KES', '--msisdn', '+254700000000', '--country', 'KE'];

  test("starts it as the quickstart does, and follows it line by line to the merchant's answer", async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const merchant = createMerchantSimulator();
    const { url } = await merchant.listen();
    const env = envOf(rig, { PAYALO_API_KEYS: simulatorKey, FORWARD_URL: url, RECONCILE_GRACE: '5m' });
    await using service = await startService({ env });
    const resultUrl = `${service.url}/webhooks/payalo`;
    const { code, stdout } = await run(env, 'payin', ...asked, '--amount', '100.00', '--result-url', resultUrl);
    expect(stdout.split('\n').map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} {2}(\w+).*/, '$1'))).toEqual([
      'payin',
      'gateway',
      'received',
      'attempt',
      'delivered',
      '',
    ]);
    expect(code).toBe(0);
    expect(rig.gateway.transactions()[0]).toMatchObject({ requestedAmount: { value: '100.00', currency: 'KES' } });
    expect(merchant.deliveries()).toHaveLength(1);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(1);
    const queues = new Map([['default', rig.queue]]);
    const reference = rig.gateway.transactions()[0]?.gatewayReference ?? '';
    const found = await createCallbackIndex({ redis: rig.redis, queues }).find(reference);
    expect(found?.callback.amountCheck).toBe('match'); // payin says what it ordered
    await merchant.close();
  });

  test('prints one document with --json, and its lines for people on standard error', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const merchant = createMerchantSimulator();
    const { url } = await merchant.listen();
    const env = envOf(rig, { PAYALO_API_KEYS: simulatorKey, FORWARD_URL: url, RECONCILE_GRACE: '5m' });
    await using service = await startService({ env });
    const resultUrl = ['--result-url', `${service.url}/webhooks/payalo`];
    const followed = await run(env, '--json', 'payin', ...asked, '--amount', '100.00', ...resultUrl);
    expect(JSON.parse(followed.stdout)).toMatchObject({
      merchantReference: expect.stringMatching(/^payin-/),
      gatewayReference: rig.gateway.transactions()[0]?.gatewayReference,
      outcome: 'delivered',
      events: [
        { kind: 'received', status: 'success', source: 'callback' },
        { kind: 'attempted', attempt: 1, answer: '200' },
        { kind: 'ended', state: 'delivered' },
      ],
    });
    expect(followed.stderr).toContain('delivered');
    const used = rig.gateway.transactions()[0]?.merchantReference ?? '';
    const refused = await run(env, '--json', 'payin', ...asked, '--amount', '1', '--reference', used);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      merchantReference: used,
      gatewayReference: null,
      outcome: 'refused-422-merchant_transactionid_duplicate',
      events: [],
    });
    await merchant.close();
  });

  test('reports why the gateway refused it', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    rig.gateway.addTransactions({ merchantReferencePrefix: 'used' });
    const { code, stdout } = await run(envOf(rig), 'payin', ...asked, '--amount', '1', '--reference', 'used-0');
    expect(code).toBe(1);
    expect(stdout).toContain('merchant_transactionid_duplicate');
  });

  test('moves no money on a real gateway without confirmation', async () => {
    await using rig = await createRig({ redisUrl: redis.url });
    const env = envOf(rig, { GATEWAY_BASE_URL: 'https://gateway.invalid/mmo/v2' });
    const resultUrl = ['--result-url', 'https://merchant.invalid/webhooks/payalo'];
    const { code, stdout, stderr } = await run(env, 'payin', ...asked, '--amount', '100.00', ...resultUrl);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('--yes');
  });
});
