// docs/deployment.md, "Rotate the gateway's key": the procedure, step by step, under load.
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { callbackBody } from '../support/callbacks.ts';
import { failuresOf, startLoad } from '../support/load.ts';
import { startRedis } from '../support/redis.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const oldKey = 'old-key-0123456789abcdef';
const newKey = 'new-key-0123456789abcdef';

test('a key is rotated without a restart and without refusing one callback', async () => {
  const file = path.join(await makeTempDir('keys'), 'payalo-api-keys');
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  write(oldKey);
  await using redis = await startRedis();
  await using service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS_FILE: file, REDIS_URL: redis.url },
  });
  const url = `${service.url}/webhooks/payalo`;
  const accepts = async (key: string) => {
    const answer = await fetch(url, { method: 'POST', headers: { 'x-api-key': key }, body: callbackBody() });
    return answer.status === 200;
  };
  const withOld = startLoad({ targets: [service.url], key: oldKey, perSecond: 150 });

  write(`${oldKey},${newKey}`); // 1. accept both, and see that the new one is
  await until(() => accepts(newKey));

  // 2. rotate at the gateway: for a while it uses either
  const withNew = startLoad({ targets: [service.url], key: newKey, perSecond: 150 });
  await until(() => withNew.answers.length >= 20);
  const sentWithOld = await withOld.stop();

  write(newKey); // 3. when the gateway uses the new one only, drop the old one
  await until(async () => !(await accepts(oldKey)));
  const sentWithNew = await withNew.stop();

  expect(sentWithOld.length).toBeGreaterThan(0);
  expect(failuresOf([...sentWithOld, ...sentWithNew])).toEqual([]);
});
