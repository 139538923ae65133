// A forward proxy in a separate process, for tests of HTTP_PROXY and HTTPS_PROXY. See forward-proxy-process.ts.
import { fork } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { until } from './until.ts';

const line = z.object({ kind: z.string(), target: z.string(), authorization: z.string().nullable() });
export type ProxyRequest = z.infer<typeof line>;

export interface ForwardProxyOptions {
  /** Names that only the proxy can resolve, each with a port of the loopback address. */
  readonly names?: Readonly<Record<string, number>>;
  /** The `user:password` that it requires. */
  readonly password?: string;
  /** `silent`: accepts requests and never answers. */
  readonly mode?: 'silent';
}

export async function startForwardProxy({ names = {}, password, mode }: ForwardProxyOptions = {}) {
  const child = fork(path.join(import.meta.dirname, 'forward-proxy-process.ts'), {
    env: {
      PATH: process.env['PATH'],
      NAMES: JSON.stringify(names),
      ...(password !== undefined && { PASSWORD: password }),
      ...(mode !== undefined && { MODE: mode }),
    },
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const lines: ProxyRequest[] = [];
  if (child.stdout === null) throw new Error('The child has no standard output.');
  createInterface(child.stdout).on('line', (text) => lines.push(line.parse(JSON.parse(text))));
  const first = await until(() => lines[0], { describe: 'the proxy to listen' });
  return {
    url: `http://127.0.0.1:${first.target}`,
    /** Includes the credentials. */
    urlFor: (user: string) => `http://${user}@127.0.0.1:${first.target}`,
    requests: (): readonly ProxyRequest[] => lines.slice(1),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}
