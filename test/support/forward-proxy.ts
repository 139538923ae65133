// A forward proxy in a process of its own, for tests of HTTP_PROXY and HTTPS_PROXY. See forward-proxy-process.ts.
import { fork } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { until } from './until.ts';

const line = z.object({ kind: z.string(), target: z.string(), authorization: z.string().nullable() });
export type ProxyRequest = z.infer<typeof line>;

export interface ForwardProxyOptions {
  /** Names that exist for the proxy alone, each a port of the loopback address. */
  readonly names?: Readonly<Record<string, number>>;
  /** `user:password` that it asks for. */
  readonly password?: string;
  /** `silent`: takes requests and never answers. */
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
  if (child.stdout === null) throw new Error('no standard output');
  createInterface(child.stdout).on('line', (text) => lines.push(line.parse(JSON.parse(text))));
  const first = await until(() => lines[0], { describe: 'the proxy to listen' });
  return {
    url: `http://127.0.0.1:${first.target}`,
    /** With credentials in it. */
    urlFor: (user: string) => `http://${user}@127.0.0.1:${first.target}`,
    requests: (): readonly ProxyRequest[] => lines.slice(1),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}
