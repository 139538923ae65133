// A forward proxy as a separate process, for absolute-form requests and CONNECT. Started by forward-proxy.ts.
//
// Prints a line of JSON for each request: { kind, target, authorization }. Only the proxy can resolve the names in the
// environment variable NAMES (JSON: name to loopback port). With PASSWORD it requires credentials; with MODE it misbehaves.
import { createServer, request as forward } from 'node:http';
import { connect } from 'node:net';

const names: Readonly<Record<string, number>> = JSON.parse(process.env['NAMES'] ?? '{}');
const wanted = process.env['PASSWORD'] === undefined ? undefined : `Basic ${btoa(process.env['PASSWORD'])}`;
const mode = process.env['MODE'];

function tell(kind: string, target: string, authorization: string | undefined): void {
  process.stdout.write(`${JSON.stringify({ kind, target, authorization: authorization ?? null })}\n`);
}

function whereIs(host: string, port: number): { host: string; port: number } {
  const own = names[host];
  return own === undefined ? { host, port } : { host: '127.0.0.1', port: own };
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '');
  tell(request.method ?? '', url.href, request.headers['proxy-authorization']);
  if (mode === 'silent') return;
  if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) {
    response.writeHead(407, { 'proxy-authenticate': 'Basic' }).end();
    return;
  }
  const { 'proxy-authorization': _, ...headers } = request.headers;
  const to = whereIs(url.hostname, Number(url.port || 80));
  const onward = forward({ ...to, method: request.method, path: url.pathname + url.search, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.writeHead(502).end());
  request.pipe(onward);
});

server.on('connect', (request, socket, head) => {
  tell('CONNECT', request.url ?? '', request.headers['proxy-authorization']);
  socket.on('error', () => undefined);
  if (mode === 'silent') return;
  if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) {
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  const { hostname, port } = new URL(`http://${request.url ?? ''}`);
  const onward = connect(whereIs(hostname, Number(port || 80)), () => {
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    onward.write(head);
    onward.pipe(socket);
    socket.pipe(onward);
  });
  onward.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n'));
});

server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  tell('listening', String(address !== null && typeof address === 'object' ? address.port : 0), undefined);
});
process.on('disconnect', () => process.exit(0));
