// The version of this package, as the build knows it.
import { readFileSync } from 'node:fs';

export function packageVersion(): string {
  // Read at run time: it lies beside `src` in a checkout and beside `dist` in the package.
  const text = readFileSync(new URL(import.meta.resolve('#package.json')), 'utf8');
  return /"version":\s*"([^"]+)"/.exec(text)?.[1] ?? 'unknown';
}
