// The id that runs through log lines, problem documents, the answer, the job and the delivery of one request.
//
// A trusted proxy's `X-Request-Id`, or the trace id of its `traceparent`, is taken over; from anybody else both are
// ignored, since whoever may choose an id could point an operator at another request.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

const plainId = /^[\w.:=+/@-]{1,128}$/;
const traceparentPattern = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

/** @param trusted addresses and CIDRs, as TRUST_PROXY holds them */
export function createRequestIds(trusted: readonly string[]): (request: IncomingMessage) => string {
  const proxies = new BlockList();
  for (const item of trusted) {
    const [address = '', bits] = item.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) proxies.addAddress(address, family);
    else proxies.addSubnet(address, Number(bits), family);
  }

  return ({ headers, socket }) => {
    if (trusted.length === 0 || !isTrusted(proxies, socket.remoteAddress)) return randomUUID();
    const given = headers['x-request-id'];
    if (typeof given === 'string' && plainId.test(given)) return given;
    const traceparent = headers['traceparent'];
    return (typeof traceparent === 'string' && traceparentPattern.exec(traceparent)?.[1]) || randomUUID();
  };
}

function isTrusted(proxies: BlockList, address: string | undefined): boolean {
  const plain = address?.replace(/^::ffff:(?=\d+\.)/, '') ?? '';
  return proxies.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}
