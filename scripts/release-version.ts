// `npm run release:version -- v1.2.3`: checks that the tag matches the version in every file of a release. Otherwise exits
// with 1 and prints one sentence for each file that differs.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { versionedFiles, versionProblems } from './version-problems.ts';

const read = (name: string) => readFileSync(path.join(path.dirname(import.meta.dirname), name), 'utf8');
const [tag = ''] = process.argv.slice(2);
const problems = versionProblems(tag, {
  manifest: read(versionedFiles.manifest),
  lock: read(versionedFiles.lock),
  changelog: read(versionedFiles.changelog),
  image: read(versionedFiles.image),
  chart: read(versionedFiles.chart),
  kustomization: read(versionedFiles.kustomization),
});
for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`${tag} it is.`);
process.exit(problems.length === 0 ? 0 : 1);
