// Reads a text that a person's editor may have written: UTF-8, or UTF-16 where a byte order mark says so. The mark is no
// part of the text; with it, the first name in a `.env` would be another one.
import { readFileSync } from 'node:fs';

/** Throws as `readFileSync` does. */
export function readTextFile(file: string): string {
  const bytes = readFileSync(file);
  return new TextDecoder(encodingOf(bytes)).decode(bytes); // drops the mark
}

function encodingOf(bytes: Buffer): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
}
