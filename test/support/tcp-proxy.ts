// A TCP proxy that makes connections misbehave as networks do: slow, stalled, or accepted and closed at once.
//
// Bytes pass through unchanged and in order. The modes can be switched at any time and apply to open connections too.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export type ProxyMode =
  | { readonly kind: 'pass' }
  /** Delays each chunk in each direction, so the round trip grows by twice this time. */
  | { readonly kind: 'slow'; readonly oneWayMs: number }
  /** Connections stay open and new ones are accepted, but no byte passes. An omitted direction passes. */
  | { readonly kind: 'stall'; readonly direction?: Direction }
  /** Accepts and closes every new connection, and closes those that are open. */
  | { readonly kind: 'close' };

/** From the client's point of view. */
export type Direction = 'toServer' | 'toClient';

export interface TcpProxyOptions {
  /** The target of connections: a port of the loopback address. */
  readonly target: number;
  readonly port?: number;
}

export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>;

interface Chunk {
  readonly data: Buffer | 'end';
  readonly readyAtMs: number;
}

interface Pipe {
  readonly direction: Direction;
  readonly to: Socket;
  readonly waiting: Chunk[];
  timer: NodeJS.Timeout | undefined;
}

export async function startTcpProxy({ target: firstTarget, port: wantedPort = 0 }: TcpProxyOptions) {
  let target = firstTarget;
  let mode: ProxyMode = { kind: 'pass' };
  const sockets = new Set<Socket>();
  const pipes = new Set<Pipe>();

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (mode.kind === 'close') {
      client.destroy();
      return;
    }
    const upstream = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
    join('toServer', client, upstream);
    join('toClient', upstream, client);
  });

  function join(direction: Direction, from: Socket, to: Socket): void {
    const pipe: Pipe = { direction, to, waiting: [], timer: undefined };
    pipes.add(pipe);
    sockets.add(from);
    const push = (data: Buffer | 'end') => {
      const oneWayMs = mode.kind === 'slow' ? mode.oneWayMs : 0;
      pipe.waiting.push({ data, readyAtMs: performance.now() + oneWayMs });
      flush(pipe);
    };
    from.setNoDelay(true);
    from.on('data', push);
    from.on('end', () => push('end'));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      if (from.errored !== null || !from.readableEnded) to.destroy();
      if (pipe.waiting.length === 0) pipes.delete(pipe);
    });
  }

  function isStalled(direction: Direction): boolean {
    return mode.kind === 'stall' && (mode.direction === undefined || mode.direction === direction);
  }

  function flush(pipe: Pipe): void {
    clearTimeout(pipe.timer);
    if (isStalled(pipe.direction)) return;
    for (let chunk = pipe.waiting[0]; chunk !== undefined; chunk = pipe.waiting[0]) {
      const waitMs = chunk.readyAtMs - performance.now();
      if (waitMs > 0) {
        pipe.timer = setTimeout(() => flush(pipe), Math.ceil(waitMs));
        return;
      }
      pipe.waiting.shift();
      if (pipe.to.destroyed) continue;
      if (chunk.data === 'end') pipe.to.end();
      else pipe.to.write(chunk.data);
    }
    if (!sockets.has(pipe.to)) pipes.delete(pipe);
  }

  function cut(): void {
    for (const { timer, waiting } of pipes) {
      clearTimeout(timer);
      waiting.length = 0;
    }
    pipes.clear();
    for (const socket of sockets) socket.destroy();
  }

  server.listen(wantedPort, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  async function stop(): Promise<void> {
    cut();
    server.close();
    await once(server, 'close');
  }

  return {
    port,
    /** The number of open client connections. */
    connections: () => [...pipes].filter(({ direction }) => direction === 'toServer').length,
    set(next: ProxyMode): void {
      mode = next;
      if (mode.kind === 'close') cut();
      else for (const pipe of pipes) flush(pipe);
    },
    /** Closes every open connection; bytes in transit are lost. */
    cut,
    /** Sets the target of new connections. */
    retarget(next: number): void {
      target = next;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
