// Raw HTTP: sends exactly the given bytes, however wrong, and reads the answer unchanged. For requests that no HTTP client
// would send.
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** Null if the server closed the connection without an answer, or sent none before the deadline. */
  readonly status: number | null;
  /** By lower-case name; the last value of a repeated header. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly bytes: Buffer;
  /** Whether the server closed the connection after this answer (waits for it only if the answer announces it). */
  readonly closedByServer: boolean;
  readonly ms: number;
}

export interface RawConnection {
  send(bytes: string | Uint8Array): void;
  /** The next complete answer. */
  answer(timeoutMs?: number): Promise<RawAnswer>;
  /** Closes only the sending side. */
  end(): void;
  destroy(): void;
}

/** Sends one request on a new connection and returns the answer. */
export async function rawHttp(
  url: string,
  bytes: string | Uint8Array,
  { timeoutMs = 20_000 }: { readonly timeoutMs?: number } = {},
): Promise<RawAnswer> {
  const connection = await openRaw(url);
  try {
    connection.send(bytes);
    return await connection.answer(timeoutMs);
  } finally {
    connection.destroy();
  }
}

/** The text of a request with the given header lines; Host and Content-Length are only there if a line gives them. */
export function requestText(firstLine: string, headerLines: readonly string[] = [], body = ''): string {
  return [firstLine, ...headerLines, '', body].join('\r\n');
}

export async function openRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  let received = Buffer.alloc(0);
  let ended = false;
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data]);
  });
  const onEnd = () => {
    ended = true;
  };
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onEnd); // after a reset, for instance, an earlier answer still counts

  return {
    send: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    async answer(timeoutMs = 20_000) {
      const startedAt = performance.now();
      for (;;) {
        const parsed = parseAnswer(received, ended);
        const complete = parsed !== undefined && (parsed.headers['connection'] !== 'close' || ended);
        if (complete || ended || performance.now() - startedAt >= timeoutMs) {
          received = received.subarray(parsed?.bytes.length ?? 0);
          const silence = { status: null, headers: {}, body: '', bytes: Buffer.alloc(0) };
          return { ...(parsed ?? silence), closedByServer: ended, ms: performance.now() - startedAt };
        }
        await nextEvent(socket, timeoutMs - (performance.now() - startedAt));
      }
    },
  };
}

/** Resolves after the socket's next event or a timeout, when the listeners above have run. */
async function nextEvent(socket: Socket, ms: number): Promise<void> {
  const events = ['data', 'end', 'close', 'error'];
  let done: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    done = resolve;
    for (const event of events) socket.once(event, resolve);
    timer = setTimeout(resolve, Math.max(0, ms));
  });
  clearTimeout(timer);
  for (const event of events) if (done !== undefined) socket.off(event, done);
}

function parseAnswer(
  received: Buffer,
  ended: boolean,
): Pick<RawAnswer, 'status' | 'headers' | 'body' | 'bytes'> | undefined {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const [statusLine = '', ...lines] = received.subarray(0, headEnd).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const rest = received.subarray(headEnd + 4);
  const body = bodyOf(headers, rest, ended);
  if (body === undefined) return undefined;
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? Number.NaN);
  return {
    status: Number.isNaN(status) ? null : status,
    headers,
    body: body.content.toString(),
    bytes: received.subarray(0, headEnd + 4 + body.length),
  };
}

function bodyOf(headers: Record<string, string>, rest: Buffer, ended: boolean) {
  if (headers['transfer-encoding'] === 'chunked') return dechunk(rest);
  const length = headers['content-length'];
  if (length === undefined && !ended)
    return headers['connection'] === 'close' ? undefined : { content: rest.subarray(0, 0), length: 0 };
  const bytes = length === undefined ? rest.length : Number(length);
  return rest.length < bytes ? undefined : { content: rest.subarray(0, bytes), length: bytes };
}

function dechunk(rest: Buffer): { content: Buffer; length: number } | undefined {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(rest.subarray(at, lineEnd).toString('latin1'), 16);
    const next = lineEnd + 2 + size + 2;
    if (Number.isNaN(size) || rest.length < next) return undefined;
    if (size === 0) return { content: Buffer.concat(chunks), length: next };
    chunks.push(rest.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = next;
  }
}
