// Formats times as ISO text for log lines and jobs. Remembers the last result: in a busy process many calls fall into the
// same millisecond, and formatting costs more than the comparison.

/** Returns a function from ms since the epoch to ISO text, UTC. */
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
