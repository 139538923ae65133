// The chart refuses to put into a ConfigMap exactly the values that `payalo-receiver config` masks.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { variableNames } from '../../src/config/config.ts';
import { effectiveConfig } from '../../src/config/effective-config.ts';

const template = readFileSync(path.resolve(import.meta.dirname, '../../deploy/helm/templates/settings.yaml'), 'utf8');
const value = 'https://host.example/a-value-0123456789';

test('the chart knows every variable that is secret', () => {
  const shown = effectiveConfig({ process: Object.fromEntries(variableNames.map((name) => [name, value])), file: {} });
  const masked = shown.filter((one) => one.value !== value).map(({ name }) => name);
  const [, list = ''] = /\$secrets := list ([^}]*?) -\}\}/.exec(template) ?? [];
  expect(list.split(' ').toSorted()).toEqual(masked.map((name) => `"${name}"`).toSorted());
});
