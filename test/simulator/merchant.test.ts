import { connect } from 'node:net';
import { once } from 'node:events';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { startMerchant } from './simulators.ts';

const secret = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;
const otherSecret = `whsec_${Buffer.from('another secret of thirty-two byte').toString('base64')}`;

async function deliver(
  url: string,
  { body = '{"status":"success"}', ...headers }: Readonly<Record<string, string>> = {},
) {
  return fetch(url, { method: 'POST', body, headers, redirect: 'manual' });
}

function signed(body: string, { at = new Date(), secret: key = secret } = {}) {
  return {
    body,
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(key).sign('msg_1', at, body),
  };
}

/** A sender that hangs up without an answer, as soon as its delivery is there. */
async function giveUpOnceArrived(url: string, arrived: () => boolean): Promise<void> {
  const hangUp = new AbortController();
  const fate = fetch(url, { method: 'POST', signal: hangUp.signal }).then(
    () => 'answered',
    () => 'given up',
  );
  await expect.poll(arrived).toBe(true);
  hangUp.abort();
  expect(await fate).toBe('given up');
}

describe('the sample merchant', () => {
  it('keeps every delivery exactly: bytes, header names as written, path, time', async () => {
    let nowMs = 1_000;
    const { merchant, port } = await startMerchant({ now: () => nowMs });
    const bytes = Buffer.from([0x7b, 0x20, 0xff, 0x00, 0x7d]);
    const socket = connect(port, '127.0.0.1');
    nowMs = 2_000;
    socket.write('POST /anywhere?x=1 HTTP/1.1\r\nHost: x\r\nWebHook-ID: msg_1\r\nContent-Length: 5\r\n\r\n');
    socket.end(bytes);
    await once(socket, 'data');
    const [delivery] = merchant.deliveries();
    expect(delivery).toMatchObject({ method: 'POST', path: '/anywhere?x=1', receivedAtMs: 2_000, answered: 200 });
    expect(delivery?.rawHeaders).toEqual(['Host', 'x', 'WebHook-ID', 'msg_1', 'Content-Length', '5']);
    expect(delivery?.body.equals(bytes)).toBe(true);
    socket.destroy();
  });

  it('acts once for each webhook-id, and only if it accepts the delivery', async () => {
    const { merchant, url } = await startMerchant();
    merchant.next(answer(500), answer(200), answer(200));
    for (let count = 0; count < 3; count += 1) await deliver(url, { 'webhook-id': 'msg_1' });
    await deliver(url, { 'webhook-id': 'msg_2' });
    expect(merchant.deliveries().map(({ answered, firstTime }) => [answered, firstTime])).toEqual([
      [500, true],
      [200, true],
      [200, false],
      [200, true],
    ]);
    expect([...merchant.uniqueIds()]).toEqual(['msg_1', 'msg_2']);
  });

  it('lets the highest sequence win, in whatever order they come', async () => {
    const { merchant, url } = await startMerchant();
    const reference = 'b2p/ä';
    const say = (id: string, sequence: string, status: string) =>
      deliver(url, {
        body: JSON.stringify({ status }),
        'webhook-id': id,
        'payalo-gateway-reference': encodeURIComponent(reference),
        'payalo-sequence': sequence,
      });
    await say('msg_1', '0', 'success');
    await say('msg_3', '2', 'failed');
    await say('msg_2', '1', 'reversed');
    expect(merchant.orders().get(reference)).toMatchObject({ status: 'failed', sequence: 2 });
    expect(merchant.deliveriesOf(reference)).toHaveLength(3);
  });

  it('lets a repeated webhook-id change nothing, whatever it says', async () => {
    const { merchant, url } = await startMerchant();
    const headers = { 'webhook-id': 'msg_1', 'payalo-gateway-reference': 'b2p1' };
    await deliver(url, { ...headers, body: '{"status":"success"}' });
    await deliver(url, { ...headers, body: '{"status":"failed"}' });
    expect(merchant.orders().get('b2p1')?.status).toBe('success');
  });

  it('forgets everything on reset', async () => {
    const { merchant, url } = await startMerchant();
    merchant.always(answer(500));
    await deliver(url, { 'webhook-id': 'msg_1' });
    merchant.reset();
    expect([merchant.deliveries().length, merchant.uniqueIds().size]).toEqual([0, 0]);
    expect((await deliver(url)).status).toBe(200);
  });
});

describe('signatures', () => {
  it('pass when they were made by the reference library with one of the secrets', async () => {
    const { merchant, url } = await startMerchant({ secrets: [otherSecret, secret] });
    const { 'webhook-signature': good, ...rest } = signed('{"value": 100.00}');
    await deliver(url, { ...rest, 'webhook-signature': `v1,bm90IGl0 v2,${good.slice(3)} ${good}` });
    expect(merchant.deliveries().map(({ signature, answered }) => [signature, answered])).toEqual([['valid', 200]]);
  });

  it.each([
    ['of another secret', signed('{}', { secret: otherSecret })],
    ['of another body', { ...signed('{}'), body: '{ }' }],
    ['of another id', { ...signed('{}'), 'webhook-id': 'msg_2' }],
    ['six minutes old', signed('{}', { at: new Date(Date.now() - 360_000) })],
    ['six minutes early', signed('{}', { at: new Date(Date.now() + 360_000) })],
    ['of no version', { ...signed('{}'), 'webhook-signature': signed('{}')['webhook-signature'].slice(3) }],
    ['that are missing', { body: '{}', 'webhook-id': 'msg_1' }],
  ])('%s are refused with 401 and have no effect', async (_what, delivery) => {
    const { merchant, url } = await startMerchant({ secrets: [secret] });
    expect((await deliver(url, delivery)).status).toBe(401);
    expect(merchant.deliveries().map(({ signature }) => signature)).toEqual(['invalid']);
    expect(merchant.uniqueIds().size).toBe(0);
  });

  it('are not checked without a secret', async () => {
    const { merchant, url } = await startMerchant();
    await deliver(url);
    expect(merchant.deliveries()[0]?.signature).toBe('unchecked');
  });
});

describe('behaviours', () => {
  it('come in sequence, then the lasting one, and change at run time', async () => {
    const { merchant, url } = await startMerchant();
    merchant.always(answer(418));
    merchant.next(answer(503, { retryAfter: 2 }), answer(302, { location: 'http://127.0.0.1:9/' }));
    const first = await deliver(url);
    expect([first.status, first.headers.get('retry-after')]).toEqual([503, '2']);
    const second = await deliver(url);
    expect([second.status, second.headers.get('location')]).toEqual([302, 'http://127.0.0.1:9/']);
    expect((await deliver(url)).status).toBe(418);
    merchant.always(answer(200));
    expect((await deliver(url)).status).toBe(200);
  });

  it('may be decided for each delivery', async () => {
    const { merchant, url } = await startMerchant();
    merchant.always(({ webhookId }) => answer(webhookId === 'msg_bad' ? 500 : 200));
    expect((await deliver(url, { 'webhook-id': 'msg_bad' })).status).toBe(500);
    expect((await deliver(url, { 'webhook-id': 'msg_good' })).status).toBe(200);
  });

  it('hangs, resets and sends garbage, and keeps the delivery anyway', async () => {
    const { merchant, url } = await startMerchant();
    merchant.next({ kind: 'hang' }, { kind: 'reset' }, { kind: 'garbage' });
    await giveUpOnceArrived(url, () => merchant.deliveries().length === 1);
    await expect(deliver(url)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    await expect(deliver(url)).rejects.toMatchObject({ cause: { name: 'HTTPParserError' } });
    expect(merchant.deliveries().map(({ answered }) => answered)).toEqual([null, null, null]);
  });

  it('answers late, and not at all to a sender that has gone', async () => {
    const { merchant, url } = await startMerchant();
    merchant.next(answer(200, { delayMs: 1000 }), answer(200, { delayMs: 20 }));
    await giveUpOnceArrived(url, () => merchant.deliveries().length === 1);
    expect((await deliver(url, { 'webhook-id': 'msg_2' })).status).toBe(200);
    expect([...merchant.uniqueIds()]).toEqual(['msg_2']);
  });

  it('floods and drips', async () => {
    const { merchant, url } = await startMerchant();
    merchant.next({ kind: 'flood', bytes: 1_000_000 }, { kind: 'drip', everyMs: 1 });
    expect((await (await deliver(url)).arrayBuffer()).byteLength).toBe(1_000_000);
    const dripping = await deliver(url);
    const reader = dripping.body?.getReader();
    for (let bytes = 0; bytes < 3;) bytes += (await reader?.read())?.value?.length ?? 0;
    await reader?.cancel();
    expect(dripping.status).toBe(200);
  });

  it('is down and up again at the same address, remembering what it has', async () => {
    const { merchant, url } = await startMerchant();
    await deliver(url, { 'webhook-id': 'msg_1' });
    await merchant.down();
    await expect(deliver(url)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    expect((await merchant.up()).url).toBe(url);
    await deliver(url, { 'webhook-id': 'msg_1' });
    expect(merchant.deliveries().map(({ firstTime }) => firstTime)).toEqual([true, false]);
  });
});
