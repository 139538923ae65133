// Durations as users write them: `500ms`, `15s`, `10m`, `24h`, `30d`.

const unitsMs = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

export const durationPattern = /^(\d{1,9})(ms|s|m|h|d)$/;

/** The duration in milliseconds; undefined if the text is not a duration. */
export function parseDurationMs(text: string): number | undefined {
  const match = durationPattern.exec(text.trim());
  const unitMs = unitsMs.get(match?.[2] ?? '');
  return unitMs === undefined ? undefined : Number(match?.[1]) * unitMs;
}
