// Undoes a body's Content-Encoding. The gateway sends none today; should it, or a proxy before us, begin to, no callback
// is to be refused for it.
//
// Lenient: what does not decode is taken as it is (a proxy may have decoded it and left the header), and what is plainly
// gzip is decoded without a header, too. Bounded: in size by the limit for bodies, in work by a few layers. Done at once,
// since a body is small, and Node's threads for it are those of name lookups, which can all be stuck.
import {
  brotliDecompressSync,
  constants,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib';

const layersMax = 3;

type Decode = (bytes: Buffer, maxOutputLength: number) => Buffer;

/** A missing end is forgiven: whether the text is whole is for the JSON parser to say. */
const finishFlush = constants.Z_SYNC_FLUSH;
const gunzip: Decode = (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength, finishFlush });
/** Some send the bare format where the standard means zlib's. */
const inflate: Decode = (bytes, maxOutputLength) =>
  ((bytes[0] ?? 0) & 0x0f) === 8
    ? inflateSync(bytes, { maxOutputLength, finishFlush })
    : inflateRawSync(bytes, { maxOutputLength, finishFlush });

const decoders = new Map<string, Decode>([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  ['deflate', inflate],
  ['br', (bytes, maxOutputLength) => brotliDecompressSync(bytes, { maxOutputLength })],
  ['zstd', (bytes, maxOutputLength) => zstdDecompressSync(bytes, { maxOutputLength })],
]);

/** Undefined where the decoded body is over the limit. */
export function decodeBody(raw: Buffer, contentEncoding: string | undefined, bytesMax: number): Buffer | undefined {
  if (contentEncoding === undefined && !isGzip(raw)) return raw;
  let bytes = raw;
  try {
    for (const decode of layersOf(contentEncoding)) bytes = decodeLayer(bytes, decode, bytesMax);
    return isGzip(bytes) ? decodeLayer(bytes, gunzip, bytesMax) : bytes;
  } catch {
    return undefined;
  }
}

/** Throws only where the result is too large. */
function decodeLayer(bytes: Buffer, decode: Decode, bytesMax: number): Buffer {
  try {
    return decode(bytes, bytesMax);
  } catch (error) {
    if (error instanceof RangeError) throw error; // ERR_BUFFER_TOO_LARGE
    return bytes;
  }
}

/** In the order in which they are undone: the last that was applied first. */
function layersOf(contentEncoding = ''): Decode[] {
  const names = contentEncoding.split(',', layersMax + 1).map((name) => name.trim().toLowerCase());
  return names.flatMap((name) => decoders.get(name) ?? []).toReversed();
}

/** No JSON text begins so. */
function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
