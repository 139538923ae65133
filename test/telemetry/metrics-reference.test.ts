// docs/reference/metrics.md is made from the metrics themselves.
import { expect, test } from 'vitest';
import * as z from 'zod';
import { createMetrics } from '../../src/telemetry/metrics.ts';

test('docs/reference/metrics.md matches the list of metrics', async () => {
  const { registry } = createMetrics();
  const metrics = (await registry.getMetricsAsJSON()).filter(({ name }) => name.startsWith('payalo_'));
  const rows = metrics
    .toSorted((one, other) => one.name.localeCompare(other.name))
    .map(({ name, help, type }) => {
      // prom-client keeps them, and does not declare them.
      const labels = z.array(z.string()).parse(Reflect.get(registry.getSingleMetric(name) ?? {}, 'labelNames'));
      const shown = labels.length === 0 ? '' : `{${labels.join(',')}}`;
      return `| \`${name}${shown}\` | ${String(type)} | ${help} |`;
    });
  const text = [
    '# Metrics',
    '',
    'Prometheus text at `/metrics` on the operator listener, beside the process’s own metrics. A gauge that is read from',
    'Redis describes the queue and not the process, so every process shows the same value: aggregate it with',
    '`max without (instance)`. Dashboard and alert rules: [deploy/observability](../../deploy/observability/). This page is',
    'generated from the metrics themselves (`npx vitest run test/telemetry/metrics-reference.test.ts -u` writes it).',
    '',
    '| metric | type | meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
    'Every value of a counter’s label starts at 0:',
    '',
    ...metrics.filter(({ type }) => String(type) === 'counter').flatMap(labelValuesOf),
    '',
  ].join('\n');
  await expect(text).toMatchFileSnapshot('../../docs/reference/metrics.md');
});

interface Shown {
  readonly name: string;
  readonly values: readonly { readonly labels: Partial<Record<string, string | number>> }[];
}

/** A line that lists the values of the metric's one label; none without a label. */
function labelValuesOf({ name, values }: Shown): string[] {
  const [label] = Object.keys(values[0]?.labels ?? {});
  if (label === undefined) return [];
  return [`- \`${name}{${label}}\`: ${values.map(({ labels }) => `\`${labels[label] ?? ''}\``).join(', ')}`];
}
