// The text of a moment, as log lines and jobs carry it. Many moments of a busy process fall into one millisecond, and
// writing the text takes longer than remembering it.

/** A function from ms since the epoch to its ISO text, UTC. */
export function createIsoTime(): (ms: number) => string {
  let lastMs = Number.NaN;
  let text = '';
  return (ms) => {
    if (ms !== lastMs) {
      text = new Date(ms).toISOString();
      lastMs = ms;
    }
    return text;
  };
}
