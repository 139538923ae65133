// The standard `OTEL_*` variables that are checked at start, and the trace settings in them. Names and defaults follow
// OpenTelemetry's specification, which also requires ignoring unknown values rather than failing.
//
// OpenTelemetry's packages read all others (certificates, compression, the service's name, ...) themselves.
import * as z from 'zod';

export type OtelValues = Readonly<Record<string, string>>;

const text = z.string().optional();
const endpoint = text.refine(
  (value) => value === undefined || /^https?:$/.test(URL.parse(value)?.protocol ?? ''),
  'must be an http:// or https:// URL, such as http://localhost:4318',
);

/** For the table in the configuration reference. The headers are a secret, so NAME_FILE works for them. */
export const otelVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_HEADERS: text,
};

/** All that the environment sets; `checked` are the values of the variables above, which may come from files. */
export function otelValues(environment: Readonly<Record<string, string | undefined>>, checked: object): OtelValues {
  const set: Record<string, string> = {};
  for (const [name, value] of [...Object.entries(environment), ...Object.entries(checked)]) {
    if (name.startsWith('OTEL_') && typeof value === 'string' && value.trim() !== '') set[name] = value.trim();
  }
  return set;
}

const samplers = {
  always_on: { isParentBased: false, ratio: 1 },
  always_off: { isParentBased: false, ratio: 0 },
  traceidratio: { isParentBased: false, ratio: undefined },
  parentbased_always_on: { isParentBased: true, ratio: 1 },
  parentbased_always_off: { isParentBased: true, ratio: 0 },
  parentbased_traceidratio: { isParentBased: true, ratio: undefined },
} as const;

export interface TraceSettings {
  /** Whether the caller's sampling decision counts. */
  readonly isParentBased: boolean;
  /** The share of traces that are sampled, 0 to 1. */
  readonly ratio: number;
  readonly exportTimeoutMs: number;
  readonly exportEveryMs: number;
  /** Spans that may wait for the collector; more are dropped. */
  readonly spansWaitingMax: number;
  readonly exportBatchMax: number;
}

/** Undefined if tracing is off. */
export function traceSettings(values: OtelValues, log: { warn(fields: object): void }): TraceSettings | undefined {
  const exporters = (values['OTEL_TRACES_EXPORTER'] ?? 'otlp').split(',').map((name) => name.trim());
  const hasEndpoint =
    values['OTEL_EXPORTER_OTLP_ENDPOINT'] !== undefined || values['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] !== undefined;
  const isDisabled = values['OTEL_SDK_DISABLED']?.toLowerCase() === 'true';
  if (!hasEndpoint || isDisabled || exporters.includes('none')) return undefined;
  const ignored = (name: string) => log.warn({ event: 'traces.ignored', variable: name, value: values[name] });
  if (!exporters.includes('otlp')) ignored('OTEL_TRACES_EXPORTER');
  for (const name of ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL']) {
    if (values[name] === 'grpc') ignored(name);
  }

  function number(name: string, fallback: number, { min = 1, max = Number.MAX_SAFE_INTEGER } = {}): number {
    const value = Number(values[name] ?? fallback);
    if (value >= min && value <= max) return value;
    ignored(name);
    return fallback;
  }

  const samplerName = values['OTEL_TRACES_SAMPLER'] ?? 'parentbased_always_on';
  const sampler = Object.entries(samplers).find(([name]) => name === samplerName)?.[1];
  if (sampler === undefined) ignored('OTEL_TRACES_SAMPLER');
  const { isParentBased, ratio = number('OTEL_TRACES_SAMPLER_ARG', 1, { min: 0, max: 1 }) } =
    sampler ?? samplers.parentbased_always_on;
  const exporterMs = number('OTEL_EXPORTER_OTLP_TIMEOUT', 5_000);
  const spansWaitingMax = number('OTEL_BSP_MAX_QUEUE_SIZE', 8_192);
  return {
    isParentBased,
    ratio,
    exportTimeoutMs: number('OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', exporterMs),
    exportEveryMs: number('OTEL_BSP_SCHEDULE_DELAY', 2_000),
    spansWaitingMax,
    exportBatchMax: Math.min(number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512), spansWaitingMax),
  };
}
