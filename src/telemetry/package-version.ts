// The package's version, and the URL of its documents.
import { readFileSync } from 'node:fs';

export function packageVersion(): string {
  return fieldOf('version') ?? 'unknown';
}

export function packageHomepage(): string {
  return fieldOf('homepage') ?? '';
}

function fieldOf(name: string): string | undefined {
  // Read at run time: package.json lies next to `src` in a checkout and next to `dist` in the package.
  const text = readFileSync(new URL(import.meta.resolve('#package.json')), 'utf8');
  return new RegExp(`"${name}":\\s*"([^"]+)"`).exec(text)?.[1];
}
