// The operator API against its own document: PyPI's schemathesis makes requests of it, right ones and wrong ones, and holds
// each answer against what the document says.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createGatewaySimulator, simulatorKey } from '../../simulator/gateway.ts';
import { endWithThisProcess } from '../support/end-with-this-process.ts';
import { callbackBody } from '../support/callbacks.ts';
import { installPythonProgram } from '../support/outside-programs.ts';
import { startRedis } from '../support/redis.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const release = 'schemathesis==4.32.5';
const settings = path.join(import.meta.dirname, 'schemathesis.toml');
const token = 'operator-token-0123456789';

test('every answer of the operator API matches its document', { timeout: 600_000 }, async (context) => {
  const program = await installPythonProgram(release);
  if (program === undefined) return context.skip(`there is no Python 3 with pip that can install ${release}`);
  const redis = await startRedis({ durable: false });
  const gateway = createGatewaySimulator();
  await using ends = new AsyncDisposableStack();
  ends.defer(() => redis.stop());
  ends.defer(() => gateway.close());
  await using service = await startService({
    roles: ['receive', 'reconcile'],
    env: {
      REDIS_URL: redis.url,
      PAYALO_API_KEYS: simulatorKey,
      OPS_TOKEN: token,
      GATEWAY_BASE_URL: (await gateway.listen()).url,
    },
  });
  const bodies = Array.from({ length: 20 }, (_, at) => (at % 4 === 0 ? '{' : callbackBody())); // some go into quarantine
  for (const body of bodies) {
    const headers = { 'x-api-key': simulatorKey };
    await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body });
  }
  const tried = spawn(
    program,
    ['--config-file', settings, '--no-color', 'run', `${service.opsUrl}/v1/openapi.json`]
      .concat('--header', `Authorization: Bearer ${token}`, '--checks', 'all', '--continue-on-failure')
      .concat('--max-examples', '20', '--seed', '7', '--warnings', 'off'),
    { cwd: await makeTempDir('schemathesis-run'), stdio: ['ignore', 'pipe', 'inherit'] },
  );
  endWithThisProcess(tried);
  const [report] = await Promise.all([text(tried.stdout), once(tried, 'close')]);
  expect(report).toMatch(/Operations:[^]*Tested: 1[0-9]/);
  expect({ exitCode: tried.exitCode, report }).toEqual({
    exitCode: 0,
    report: expect.stringContaining('No issues found'),
  });
});
