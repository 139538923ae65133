// The receivers under comparison, and how one is started, killed and restarted.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { freePort } from '../../test/support/private-redis.ts';
import { endWithThisProcess } from '../../test/support/end-with-this-process.ts';
import { testKey } from '../../test/support/callbacks.ts';
import { makeTempDir } from '../../test/support/temp-dir.ts';
import { until } from '../../test/support/until.ts';

export interface Contestant {
  readonly name: string;
  /** For `sh -c`; environment.ts lists its environment variables. */
  readonly command: string;
}

const root = path.resolve(import.meta.dirname, '../..');
const node = `exec ${process.execPath} --disable-warning=ExperimentalWarning`;
const plain = `${node} ${path.join(import.meta.dirname, 'plain-receiver.ts')}`;

export const contestants: readonly Contestant[] = [
  { name: 'payalo-receiver', command: `${node} ${path.join(root, 'src/main.ts')} all` },
  { name: 'plain handler, GET-add-SET', command: `${plain} key` },
  { name: 'plain handler, jobId', command: `${plain} job-id` },
];

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;

interface Place {
  readonly redisUrl: string;
  readonly merchantUrl: string;
}

const readyMs = 30_000;

export async function startReceiver({ command }: Contestant, { redisUrl, merchantUrl }: Place) {
  const dir = await makeTempDir('compare');
  const port = await freePort();
  const env = {
    PORT: String(port),
    REDIS_URL: redisUrl,
    MERCHANT_URL: merchantUrl,
    API_KEY: testKey,
    // The same values under our service's variable names.
    PAYALO_API_KEYS: testKey,
    FORWARD_URL: merchantUrl,
    HOST: '127.0.0.1',
    OPS_PORT: '0',
    LOG_LEVEL: 'fatal',
    SPOOL_DIR: path.join(dir, 'spool'),
  };
  let child = await start();

  async function start() {
    const started = spawn('sh', ['-c', command], {
      cwd: dir,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
    });
    endWithThisProcess(started);
    await until(() => accepts(port), { timeoutMs: readyMs, describe: `${command} to listen on ${port}` });
    return started;
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  return {
    url: `http://127.0.0.1:${port}`,
    kill,
    async restart(): Promise<void> {
      child = await start();
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
