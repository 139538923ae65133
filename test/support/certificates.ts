// Certificates made with openssl for one run: an authority that only these tests trust, and its server certificate for
// the loopback address.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeTempDir } from './temp-dir.ts';

export interface Certificates {
  /** The authority's certificate, for NODE_EXTRA_CA_CERTS. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

export async function makeCertificates(): Promise<Certificates> {
  const dir = await makeTempDir('certificates');
  const file = (name: string) => path.join(dir, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = file('names');
  writeFileSync(names, 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  openssl(
    ['req', '-x509', ...newKey, '-subj', '/CN=test-authority', '-days', '2'].concat([
      '-keyout',
      file('authority.key'),
      '-out',
      file('authority.pem'),
    ]),
  );
  openssl(['req', ...newKey, '-subj', '/CN=127.0.0.1', '-keyout', file('server.key'), '-out', file('server.csr')]);
  openssl(
    ['x509', '-req', '-in', file('server.csr'), '-CA', file('authority.pem'), '-CAkey', file('authority.key')].concat([
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      names,
      '-out',
      file('server.pem'),
    ]),
  );
  return { authority: file('authority.pem'), certificate: file('server.pem'), key: file('server.key') };
}

/** The settings of a redis-server that serves clients and peers over TLS on a separate port. */
export function redisTlsSettings({ authority, certificate, key }: Certificates, tlsPort: number): string[] {
  const files = ['--tls-ca-cert-file', authority, '--tls-cert-file', certificate, '--tls-key-file', key];
  return ['--tls-port', String(tlsPort), ...files, '--tls-auth-clients', 'no', '--tls-replication', 'yes'];
}

function openssl(args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args[0] ?? ''} failed: ${stderr}`);
}
