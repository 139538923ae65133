// Parses JSON from outside: it may begin with a byte order mark, and it may not be JSON at all.

/** Undefined if the text is not JSON; `null` is JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** JSON.parse refuses a byte order mark, though RFC 8259 lets a reader ignore it. */
export function withoutByteOrderMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}
