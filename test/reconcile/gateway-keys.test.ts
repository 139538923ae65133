import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createGatewayKeys } from '../../src/reconcile/gateway/gateway-keys.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const [old, next] = ['old-key-0123456789', 'next-key-0123456789'];

test('a changed PAYALO_API_KEYS_FILE applies without a restart; an unreadable one changes nothing', async () => {
  const apiKeysFile = path.join(await makeTempDir('keys'), 'keys');
  let nowMs = 10_000;
  const brand = { name: 'acme', apiKeys: [old], gatewayApiKeys: [old] };
  const keys = createGatewayKeys({ brand, apiKeysFile, elapsed: () => nowMs });
  expect(keys()).toEqual([old]);
  writeFileSync(apiKeysFile, `acme=${next},acme=${old}\n`);
  nowMs += 1_000;
  expect(keys()).toEqual([next, old]);
  writeFileSync(apiKeysFile, 'acme=short');
  nowMs += 1_000;
  expect(keys()).toEqual([next, old]);
  rmSync(apiKeysFile);
  nowMs += 1_000;
  expect(keys()).toEqual([next, old]);
});

test("GATEWAY_API_KEY's own keys do not follow the file of the accepted ones", async () => {
  const apiKeysFile = path.join(await makeTempDir('keys'), 'keys');
  writeFileSync(apiKeysFile, next);
  const brand = { name: 'default', apiKeys: [next], gatewayApiKeys: [old] };
  expect(createGatewayKeys({ brand, apiKeysFile, elapsed: () => performance.now() })()).toEqual([old]);
});
