// A connector that presents a client certificate and trusts an authority besides Node's own. Renewed files apply from the
// next connection on; while they are unusable, the previous content stays in use.
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
    createSecureContext(secure); // throws if certificate and key do not match: only one of them is renewed yet
    return buildConnector({ ...options, ...secure });
  }

  function renew(): void {
    try {
      const versions = versionsOf(files);
      if (versions === seen) return;
      connect = connectorOf(readClientTls(tls));
      seen = versions;
    } catch {
      // The files may be half written; the next connection checks again.
    }
  }

  return (target, done) => {
    renew();
    connect(target, done);
  };
}

/** Reads the files. Throws if one cannot be read. */
export function readClientTls({ certFile, keyFile, caFile }: ClientTls): SecureContextOptions {
  return {
    ...(certFile !== undefined && keyFile !== undefined && { cert: read(certFile), key: read(keyFile) }),
    ...(caFile !== undefined && { ca: [...rootCertificates, read(caFile)] }),
  };
}

/** Changes whenever one of the files does. */
function versionsOf(files: readonly string[]): string {
  return files.map((file) => `${statSync(file).mtimeMs} ${statSync(file).size} ${statSync(file).ino}`).join(',');
}

function read(file: string): string {
  return readFileSync(file, 'utf8');
}
