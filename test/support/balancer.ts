// A real load balancer, started from the example configuration of deploy/ with nothing changed but its addresses.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { endWithThisProcess } from './end-with-this-process.ts';
import { freePort } from './private-redis.ts';
import { makeCertificates } from './certificates.ts';
import { makeTempDir } from './temp-dir.ts';
import { until } from './until.ts';

export interface Balancer extends AsyncDisposable {
  readonly url: string;
  /** The certificate authority that its clients must trust. */
  readonly ca: string;
}

export interface BalancerOptions {
  readonly program: string;
  readonly args: (file: string, dir: string) => readonly string[];
  /** The configuration file, relative to deploy/. */
  readonly configuration: string;
  /** The certificate folder in the example. */
  readonly certificateFolder: string;
  /** Ports of receiver-1 and receiver-2. */
  readonly receivers: readonly [number, number];
}

const deploy = path.join(import.meta.dirname, '..', '..', 'deploy');

export async function startBalancer(options: BalancerOptions): Promise<Balancer> {
  const dir = await makeTempDir('balancer');
  const port = await freePort();
  const certificates = path.join(dir, 'certificates');
  const ca = await writeCertificates(certificates);
  const example = await readFile(path.join(deploy, options.configuration), 'utf8');
  const changes: readonly (readonly [from: string, to: string])[] = [
    [options.certificateFolder, certificates],
    [example.includes('bind :443') ? 'bind :443' : 'listen 443', listenLine(example, port)],
    ['receiver-1:3000', `127.0.0.1:${options.receivers[0]}`],
    ['receiver-2:3000', `127.0.0.1:${options.receivers[1]}`],
  ];
  const file = path.join(dir, path.basename(options.configuration));
  await writeFile(file, changes.reduce(replaceThere, example));

  // A file, because nginx reopens /dev/stdout, which fails with a pipe from Node.
  const log = path.join(dir, 'output');
  const descriptor = openSync(log, 'a');
  const child = spawn(options.program, options.args(file, dir), {
    stdio: ['ignore', descriptor, descriptor],
    detached: true,
  });
  closeSync(descriptor);
  endWithThisProcess(child);
  const isUp = async () => {
    if (child.exitCode !== null) throw new Error(`${options.program} ended:\n${readFileSync(log, 'utf8')}`);
    return isListening(port);
  };
  await until(isUp, { describe: `${options.program} to listen` });
  return {
    url: `https://127.0.0.1:${port}`,
    ca,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

/** Checks by connecting: a test that tried to listen could take the port from the starting balancer. */
async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

function listenLine(example: string, port: number): string {
  return example.includes('bind :443') ? `bind 127.0.0.1:${port}` : `listen 127.0.0.1:${port}`;
}

function replaceThere(text: string, [from, to]: readonly [string, string]): string {
  if (!text.includes(from)) throw new Error(`The example no longer contains ${from}.`);
  return text.replaceAll(from, to);
}

/** HAProxy reads the key from the certificate's file, nginx from a separate file. */
async function writeCertificates(folder: string): Promise<string> {
  const { authority, certificate, key } = await makeCertificates();
  await mkdir(folder);
  await copyFile(key, path.join(folder, 'server.key'));
  await writeFile(
    path.join(folder, 'server.pem'),
    (await readFile(certificate, 'utf8')) + (await readFile(key, 'utf8')),
  );
  return readFile(authority, 'utf8');
}
