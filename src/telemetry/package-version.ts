// The version of this package, as the build knows it, and where its documents are.
import { readFileSync } from 'node:fs';

export function packageVersion(): string {
  return fieldOf('version') ?? 'unknown';
}

export function packageHomepage(): string {
  return fieldOf('homepage') ?? '';
}

function fieldOf(name: string): string | undefined {
  // Read at run time: it lies beside `src` in a checkout and beside `dist` in the package.
  const text = readFileSync(new URL(import.meta.resolve('#package.json')), 'utf8');
  return new RegExp(`"${name}":\\s*"([^"]+)"`).exec(text)?.[1];
}
