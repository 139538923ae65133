// Reports a variable with a misspelled name, because its setting has no effect.
import { expect, test } from 'vitest';
import { variableNames } from '../../src/config/config.ts';
import { misspelledVariables } from '../../src/config/misspelled-variables.ts';
import { runCli } from '../support/cli.ts';
import { testKey } from '../support/callbacks.ts';

const problemsWith = (...names: string[]) =>
  misspelledVariables(Object.fromEntries(names.map((name) => [name, 'secret'])), variableNames);

test.each([
  ['HOLD_MISMATCH', 'HOLD_MISMATCHED'],
  ['FORWARD_RETRY', 'FORWARD_RETRIES'],
  ['REDIS_URI', 'REDIS_URL'],
  ['PAYALO_API_KEY', 'PAYALO_API_KEYS'],
  ['forward_url', undefined],
  ['FORWARD_SECRETS_FILE', 'FORWARD_SECRET_FILE'],
  ['RECONCILE-EVERY', 'RECONCILE_EVERY'],
])('%s: suggests %s', (name, suggested) => {
  const sentence = `${name} is not a variable of this service and is ignored; did you mean ${suggested}?`;
  expect(problemsWith(name)).toEqual(suggested === undefined ? [] : [sentence]);
});

test('reports neither our variables, nor other programs’, nor empty ones', () => {
  expect(problemsWith(...variableNames, ...variableNames.map((name) => `${name}_FILE`))).toEqual([]);
  const others =
    'PATH HOME HOSTNAME SHELL LANG TERM NODE_OPTIONS NODE_EXTRA_CA_CERTS NO_COLOR FTP_PROXY ALL_PROXY REDIS_PORT REDIS_HOST ' +
    'REDIS_SERVICE_HOST REDIS_SERVICE_PORT REDIS_PORT_6379_TCP KUBERNETES_PORT OTEL_EXPORTER_OTLP_METRICS_ENDPOINT ' +
    'OTEL_SERVICE_NAME MALLOC_ARENA_MAX UV_THREADPOOL_SIZE TZ CI PWD npm_config_cache COMPOSE_PROJECT_NAME';
  expect(problemsWith(...others.split(' '))).toEqual([]);
  expect(misspelledVariables({ HOLD_MISMATCH: '' }, variableNames)).toEqual([]);
});

test('`config --check` reports it, and that the service would start', async () => {
  const env = { PAYALO_API_KEYS: testKey, HOLD_MISMATCH: 'true' };
  const checked = await runCli(['config', '--check'], env);
  expect(checked).toMatchObject({ code: 0 });
  expect(checked.out).toContain('would start');
  expect(checked.out).toContain(
    'HOLD_MISMATCH is not a variable of this service and is ignored; did you mean HOLD_MISMATCHED?',
  );
  const json = await runCli(['config', '--json'], env);
  expect(JSON.parse(json.out)).toMatchObject({ notices: [expect.stringContaining('HOLD_MISMATCHED')] });
});
