// Decodes a body's Content-Encoding. The gateway sends none today; if it, or a proxy before us, starts to, no callback must
// be refused for it.
//
// Lenient: a body that does not decode is used as it is (a proxy may have decoded it and left the header), and obvious gzip
// is decoded even without a header. Bounded: the size by the body limit, the work by a few layers. Synchronous, since a body
// is small and Node's threads for it are shared with name lookups, which can all be stuck.
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

/** Tolerates a missing end: the JSON parser decides whether the text is complete. */
const finishFlush = constants.Z_SYNC_FLUSH;
const gunzip: Decode = (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength, finishFlush });
/** Some clients send raw deflate where the standard means the zlib format. */
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

/** Undefined if the decoded body exceeds the limit. */
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

/** Throws only if the result is too large. */
function decodeLayer(bytes: Buffer, decode: Decode, bytesMax: number): Buffer {
  try {
    return decode(bytes, bytesMax);
  } catch (error) {
    if (error instanceof RangeError) throw error; // ERR_BUFFER_TOO_LARGE
    return bytes;
  }
}

/** In the order of decoding: the encoding applied last comes first. */
function layersOf(contentEncoding = ''): Decode[] {
  const names = contentEncoding.split(',', layersMax + 1).map((name) => name.trim().toLowerCase());
  return names.flatMap((name) => decoders.get(name) ?? []).toReversed();
}

/** No JSON text begins with these bytes. */
function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
