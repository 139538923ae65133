// `npm run sbom`: the software bill of materials. Writes sbom.cdx.json (CycloneDX, the production packages of
// package-lock.json) and docs/licences.md, the list of their licences. A test compares the list with the lockfile.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const root = path.dirname(import.meta.dirname);
const licence = z.union([
  z.object({ license: z.object({ id: z.string() }) }),
  z.object({ license: z.object({ name: z.string() }) }),
  z.object({ expression: z.string() }),
]);
const component = z.looseObject({ name: z.string(), version: z.string(), licenses: z.array(licence).optional() });
const sbomSchema = z.looseObject({
  bomFormat: z.literal('CycloneDX'),
  metadata: z.looseObject({ component: z.looseObject({ name: z.string() }) }),
  components: z.array(component),
});

export type Sbom = z.infer<typeof sbomSchema>;

export interface Licensed {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
}

/** The document that npm makes, with the package's name instead of the checkout folder's. */
export function makeSbom(): Sbom {
  const args = [
    'sbom',
    '--sbom-format',
    'cyclonedx',
    '--sbom-type',
    'application',
    '--omit',
    'dev',
    '--package-lock-only',
  ];
  const cli = process.env['npm_execpath'];
  const [command, ...before] = cli?.endsWith('.js') === true ? [process.execPath, cli] : ['npm'];
  const { status, stdout, stderr } = spawnSync(command, [...before, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 67_108_864,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${stderr}`);
  const sbom = sbomSchema.parse(JSON.parse(stdout));
  sbom.metadata.component.name = z.object({ name: z.string() }).parse(readJson('package.json')).name;
  return sbom;
}

export function licencesOf({ components }: Sbom): Licensed[] {
  return components
    .map(({ name, version, licenses = [] }) => ({ name, version, licence: licenses.map(textOf).join(', ') || 'none' }))
    .toSorted((one, other) => (`${one.name}@${one.version}` < `${other.name}@${other.version}` ? -1 : 1));
}

export function licenceList(licences: readonly Licensed[]): string {
  const rows = licences.map(({ name, version, licence: text }) => `| ${name} | ${version} | ${text} |`);
  return [
    '# Licences of the packages that the service runs with',
    '',
    'Made by `npm run sbom` from package-lock.json.',
    '',
    '| package | version | licence |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function textOf(one: z.infer<typeof licence>): string {
  if ('expression' in one) return one.expression;
  return 'id' in one.license ? one.license.id : one.license.name;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(path.join(root, file), 'utf8'));
}

if (process.argv[1] === import.meta.filename) {
  const sbom = makeSbom();
  writeFileSync(path.join(root, 'sbom.cdx.json'), `${JSON.stringify(sbom, undefined, 2)}\n`);
  writeFileSync(path.join(root, 'docs', 'licences.md'), licenceList(licencesOf(sbom)));
  console.log(`${sbom.components.length} packages: sbom.cdx.json, docs/licences.md`);
}
