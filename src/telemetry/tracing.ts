// Traces, if OTEL_EXPORTER_OTLP_ENDPOINT (or ..._TRACES_ENDPOINT) is set: a span for each callback request and each
// delivery attempt, linked across the queue by the job's `traceparent`.
//
// Otherwise OpenTelemetry is not even loaded. Attributes identify a callback and its outcome; never its body, a key or a
// person. The caller's sampling decision is respected. What the collector does not take within the limits is dropped with
// a log line; no callback ever waits for it.
import type { Span, SpanContext } from '@opentelemetry/api';
import { within } from '../async/deadline.ts';
import { putIntoEnvironment } from '../config/config.ts';
import type { Log } from './log.ts';
import { packageVersion } from './package-version.ts';
import { traceSettings, type OtelValues } from '../config/otel-variables.ts';

export type TraceAttributes = Readonly<Record<string, string | number | undefined>>;

export interface TraceSpan {
  /** W3C trace context for whoever continues this trace. */
  readonly traceparent: string;
  set(attributes: TraceAttributes): void;
  /** Marks the span as failed. */
  fail(reason: string): void;
  end(): void;
}

export interface SpanStart {
  readonly name: 'callback.receive' | 'callback.deliver';
  readonly kind: 'server' | 'client';
  /** The `traceparent` to continue; a missing or malformed one starts a new trace. */
  readonly parent: string | undefined;
  readonly attributes: TraceAttributes;
}

export interface Tracing {
  readonly begin: (start: SpanStart) => TraceSpan;
  /** Sends what is left, within the deadline. Never throws. */
  stop(deadlineMs: number): Promise<void>;
}

const traceparentPattern = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:$|-)/;

/** OpenTelemetry's exporter reads endpoint, headers and more from the environment. */
export async function createTracing(otel: OtelValues, log: Log): Promise<Tracing | undefined> {
  const settings = traceSettings(otel, log);
  if (settings === undefined) return undefined;
  putIntoEnvironment(otel);
  const [
    { diag, DiagLogLevel, isSpanContextValid, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace },
    sdk,
    otlp,
    resources,
  ] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const tell = (problem: string) => log.warn({ event: 'traces.not_sent', problem: problem.slice(0, 300) });
  diag.setLogger(
    { error: tell, warn: tell, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const root = new sdk.TraceIdRatioBasedSampler(settings.ratio);
  const provider = new sdk.TracerProvider({
    resource: resources
      .resourceFromAttributes({ 'service.name': 'payalo-receiver', 'service.version': packageVersion() })
      .merge(
        resources.detectResources({
          detectors: [resources.resourceAttributesEnvDetector, resources.serviceNameEnvDetector],
        }),
      ),
    sampler: settings.isParentBased ? new sdk.ParentBasedSampler({ root }) : root,
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new otlp.OTLPTraceExporter({ timeoutMillis: settings.exportTimeoutMs }),
        maxQueueSize: settings.spansWaitingMax,
        maxExportBatchSize: settings.exportBatchMax,
        scheduledDelayMillis: settings.exportEveryMs,
        exportTimeoutMillis: settings.exportTimeoutMs,
      }),
    ],
  });
  const tracer = provider.getTracer('payalo-receiver');

  function contextOf(parent: string | undefined) {
    const [, traceId = '', spanId = '', flags = ''] = traceparentPattern.exec(parent ?? '') ?? [];
    const spanContext: SpanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
    return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
  }

  return {
    begin({ name, kind, parent, attributes }) {
      const options = { kind: kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT, attributes: defined(attributes) };
      const span = tracer.startSpan(name, options, contextOf(parent));
      return {
        traceparent: traceparentOf(span),
        set: (more) => void span.setAttributes(defined(more)),
        fail: (message) => void span.setStatus({ code: SpanStatusCode.ERROR, message }),
        end: () => span.end(),
      };
    },

    async stop(deadlineMs) {
      const stopped = provider.shutdown().catch((error: unknown) => tell(String(error)));
      await within(deadlineMs, stopped).catch(() => undefined);
    },
  };
}

function silent(): void {}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

function defined(attributes: TraceAttributes): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
