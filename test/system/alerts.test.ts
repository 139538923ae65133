// The alert rules and the dashboard: understood by Prometheus, firing on what they are for, naming metrics that exist.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const packages = await ensureDebianPackages(['prometheus']);
const root = path.resolve(import.meta.dirname, '../..');
const folder = path.join(root, 'deploy', 'observability');
const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');

function promtool(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(packages.program('promtool'), args, {
    cwd: folder,
    env: { ...process.env, ...packages.env },
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

describe.skipIf(packages.missing)('the alert rules', () => {
  test('are understood by promtool', () => {
    expect(promtool('check', 'rules', 'alerts.yml')).toMatchObject({ status: 0 });
  });

  test('fire on what they are for, and are silent while all is well', () => {
    expect(promtool('test', 'rules', 'alerts.test.yml')).toMatchObject({ status: 0 });
  });
});

test('alerts and dashboard name metrics that exist', () => {
  const known = new Set(
    createMetrics()
      .registry.getMetricsAsArray()
      .map(({ name }) => name),
  );
  const named = [read('alerts.yml'), read('dashboard.json')].flatMap((text) => text.match(/payalo_\w+/g) ?? []);
  expect(named.length).toBeGreaterThan(20);
  const unknown = named.filter((name) => !known.has(name) && !known.has(name.replace(/_(bucket|sum|count)$/, '')));
  expect(unknown).toEqual([]);
});

test('every alert has a runbook that is there', () => {
  const documents = [...read('alerts.yml').matchAll(/runbook: (\S+)#(\S+)/g)];
  expect(documents.length).toBe((read('alerts.yml').match(/- alert:/g) ?? []).length);
  for (const [, file = '', anchor] of documents) {
    expect(existsSync(path.join(root, file))).toBe(true);
    const anchors = [...readFileSync(path.join(root, file), 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, '')
        .replaceAll(/\s+/g, '-'),
    );
    expect(anchors).toContain(anchor);
  }
});
