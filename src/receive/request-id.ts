// The id of one request in log lines, problem documents, the answer, the job and the delivery.
//
// A trusted proxy's `X-Request-Id`, or the trace id of its `traceparent`, becomes the id. From other clients both are
// ignored, since a client that may choose an id could point an operator to another request.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const plainId = /^[\w.:=+/@-]{1,128}$/;
const traceparentPattern = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

export function createRequestIds(
  isTrusted: (address: string | undefined) => boolean,
): (request: IncomingMessage) => string {
  return ({ headers, socket }) => {
    if (!isTrusted(socket.remoteAddress)) return randomUUID();
    const given = headers['x-request-id'];
    if (typeof given === 'string' && plainId.test(given)) return given;
    const traceparent = headers['traceparent'];
    return (typeof traceparent === 'string' && traceparentPattern.exec(traceparent)?.[1]) || randomUUID();
  };
}
