import { expect, test, vi } from 'vitest';
import { otelValues, traceSettings, type OtelValues } from '../../src/config/otel-variables.ts';

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

function settingsOf(values: OtelValues) {
  const warn = vi.fn<(fields: { variable?: string }) => void>();
  const settings = traceSettings({ ...endpoint, ...values }, { warn });
  return { settings, ignored: warn.mock.calls.map(([{ variable }]) => variable) };
}

test('has defaults if no variable is set', () => {
  expect(settingsOf({})).toEqual({
    settings: {
      isParentBased: true,
      ratio: 1,
      exportTimeoutMs: 5_000,
      exportEveryMs: 2_000,
      spansWaitingMax: 8_192,
      exportBatchMax: 512,
    },
    ignored: [],
  });
});

test.for([
  [{ OTEL_TRACES_SAMPLER: 'always_on' }, { isParentBased: false, ratio: 1 }],
  [{ OTEL_TRACES_SAMPLER: 'always_off' }, { isParentBased: false, ratio: 0 }],
  [
    { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' },
    { isParentBased: false, ratio: 0.25 },
  ],
  [
    { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' },
    { isParentBased: true, ratio: 0 },
  ],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio' }, { isParentBased: true, ratio: 1 }],
  [
    { OTEL_BSP_SCHEDULE_DELAY: '100', OTEL_BSP_MAX_QUEUE_SIZE: '64' },
    { exportEveryMs: 100, exportBatchMax: 64 },
  ],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: '700' }, { exportTimeoutMs: 700 }],
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: '700', OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '90' }, { exportTimeoutMs: 90 }],
] as const)('applies %j', ([values, expected]) => {
  const { settings, ignored } = settingsOf(values);
  expect(settings).toMatchObject(expected);
  expect(ignored).toEqual([]);
});

test.for([
  [{ OTEL_TRACES_SAMPLER: 'xray' }, ['OTEL_TRACES_SAMPLER']],
  [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: 'half' }, ['OTEL_TRACES_SAMPLER_ARG']],
  [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '7' }, ['OTEL_TRACES_SAMPLER_ARG']],
  [{ OTEL_BSP_SCHEDULE_DELAY: 'soon' }, ['OTEL_BSP_SCHEDULE_DELAY']],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, ['OTEL_EXPORTER_OTLP_PROTOCOL']],
  [{ OTEL_TRACES_EXPORTER: 'zipkin' }, ['OTEL_TRACES_EXPORTER']],
] as const)('ignores unknown values in %j, and logs that', ([values, expected]) => {
  const { settings, ignored } = settingsOf(values);
  expect(settings).toBeDefined();
  expect(ignored).toEqual(expected);
});

test('treats an empty value as unset, and prefers a value from a file', () => {
  const environment = { OTEL_SERVICE_NAME: ' shop ', OTEL_TRACES_SAMPLER: '', PATH: '/bin', OTEL_A: undefined };
  expect(otelValues(environment, { OTEL_EXPORTER_OTLP_HEADERS: 'a=b', PORT: 3_000 })).toEqual({
    OTEL_SERVICE_NAME: 'shop',
    OTEL_EXPORTER_OTLP_HEADERS: 'a=b',
  });
});
