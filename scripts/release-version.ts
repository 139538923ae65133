// `node scripts/release-version.ts v1.2.3`: whether that tag, package.json and CHANGELOG.md name one version. Exits with 1 and one
// sentence where they do not.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

const root = path.dirname(import.meta.dirname);
const read = (name: string) => readFileSync(path.join(root, name), 'utf8');
const [tag = ''] = process.argv.slice(2);
const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')));

if (tag !== `v${version}`)
  refuse(`The tag is ${JSON.stringify(tag)}, and package.json has version ${version}: tag v${version}.`);
if (!read('CHANGELOG.md').includes(`\n## [${version}]`))
  refuse(`CHANGELOG.md has no heading "## [${version}]": move what is under "Unreleased" there.`);
console.log(`${version} it is.`);

function refuse(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}
