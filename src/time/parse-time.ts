// Parses a time as people and gateways write it: ISO 8601. The only place that does.
//
// A time without an offset is UTC, wherever this runs: `Date.parse` would use the container's time zone.

const date = String.raw`(\d{4}-\d{2}-\d{2})`;
const time = String.raw`(\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d+))?`;
const offset = String.raw`(?:([Zz])|([+-]\d{2})(?::?(\d{2}))?)`;
const pattern = new RegExp(`^${date}(?:[Tt ]${time} ?${offset}?)?$`);

/** Milliseconds since the epoch; undefined if the text is not a time. Digits below a millisecond are cut off. */
export function parseTimeMs(text: string): number | undefined {
  const match = pattern.exec(text.trim());
  if (match === null) return undefined;
  const [, day = '', clock = '00:00', fraction = '', , hours, minutes = '00'] = match;
  const seconds = clock.length === 5 ? ':00' : '';
  const zone = hours === undefined ? 'Z' : `${hours}:${minutes}`;
  const ms = Date.parse(`${day}T${clock}${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}${zone}`);
  return Number.isNaN(ms) || !isDay(day) ? undefined : ms;
}

/** `Date.parse` reads 30 February as 2 March. */
function isDay(day: string): boolean {
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
}
