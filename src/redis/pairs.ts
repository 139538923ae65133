// Redis answers hashes, and sorted sets with their scores, as flat lists: a name and its value in turn.

export function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, at) => [flat[at * 2] ?? '', flat[at * 2 + 1] ?? '']);
}
