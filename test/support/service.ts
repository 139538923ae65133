// The real service as a child process, listening on free ports of the loopback address, in a temporary folder of its
// own, with nothing in its environment but what the test gives.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { startServiceProcess, type ServiceProcess, type ServiceProcessOptions } from './service-process.ts';
import { makeTempDir } from './temp-dir.ts';

export interface TestServiceOptions {
  readonly roles?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[];
  readonly program?: string | undefined;
  readonly readyMs?: number;
  readonly output?: ServiceProcessOptions['output'];
}

export type TestService = ServiceProcess & AsyncDisposable & { readonly dir: string };

export async function startService(options: TestServiceOptions = {}): Promise<TestService> {
  const dir = await makeTempDir('service');
  const service = await startServiceProcess({
    ...options,
    cwd: dir,
    env: {
      HOST: '127.0.0.1',
      PORT: '0',
      OPS_PORT: '0',
      // After each SIGTERM, a third of it passes while load balancers stop sending.
      SHUTDOWN_TIMEOUT: '4s',
      SPOOL_DIR: path.join(dir, 'spool'),
      ...options.env,
    },
  });
  return {
    ...service,
    dir,
    async [Symbol.asyncDispose]() {
      service.kill('SIGKILL');
      await service.exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
