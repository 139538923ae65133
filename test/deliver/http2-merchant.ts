// A merchant that speaks only HTTP/2, over TLS with a certificate that this process then trusts.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { makeCertificates } from '../support/certificates.ts';

export async function startHttp2Merchant(onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void) {
  const { authority, certificate, key } = await makeCertificates();
  setDefaultCACertificates([...getCACertificates('default'), readFileSync(authority, 'utf8')]);
  const server = createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    onStream(stream, headers);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    url: `https://127.0.0.1:${port}/payments`,
    port,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
