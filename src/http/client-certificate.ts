// A connector that shows a client certificate and trusts an authority besides those that Node trusts. Files that were renewed
// count from the next connection on; while they cannot be used, what they held before does.
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, rootCertificates, type SecureContextOptions } from 'node:tls';
import { buildConnector } from 'undici';
import type { ClientTls } from '../config/client-tls.ts';

export function certifiedConnector(tls: ClientTls, options: buildConnector.BuildOptions): buildConnector.connector {
  const { certFile, keyFile, caFile } = tls;
  const files = [certFile, keyFile, caFile].filter((file) => file !== undefined);
  let seen = versionsOf(files);
  let connect = connectorOf(readClientTls(tls));

  function connectorOf(secure: SecureContextOptions): buildConnector.connector {
    createSecureContext(secure); // throws where certificate and key do not fit: one of them is renewed, the other not yet
    return buildConnector({ ...options, ...secure });
  }

  function renew(): void {
    try {
      const versions = versionsOf(files);
      if (versions === seen) return;
      connect = connectorOf(readClientTls(tls));
      seen = versions;
    } catch {
      // Being written now, perhaps: looked at again with the next connection.
    }
  }

  return (target, done) => {
    renew();
    connect(target, done);
  };
}

/** What the files hold now. Throws where one cannot be read. */
export function readClientTls({ certFile, keyFile, caFile }: ClientTls): SecureContextOptions {
  return {
    ...(certFile !== undefined && keyFile !== undefined && { cert: read(certFile), key: read(keyFile) }),
    ...(caFile !== undefined && { ca: [...rootCertificates, read(caFile)] }),
  };
}

/** Another text after any of them changed. */
function versionsOf(files: readonly string[]): string {
  return files.map((file) => `${statSync(file).mtimeMs} ${statSync(file).size} ${statSync(file).ino}`).join(',');
}

function read(file: string): string {
  return readFileSync(file, 'utf8');
}
