// Reads a text file that a person may have edited: UTF-8, or UTF-16 with a byte order mark. The mark is dropped, since it
// would become part of the first name in a `.env`.
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
