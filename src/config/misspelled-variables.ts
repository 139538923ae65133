// Finds environment variables that look like misspelled ones of ours: `HOLD_MISMATCH=true` would silently do nothing.
import type { Environment } from './resolve-values.ts';

/** Other programs' variables that happen to resemble ours. */
const foreign = new Set(['FTP_PROXY', 'ALL_PROXY', 'NODE_OPTIONS']);
/** One wrong character in four is tolerated. */
const charactersPerMistake = 4;

/** One sentence for each. Names only: the value may be a secret. */
export function misspelledVariables(environment: Environment, known: readonly string[]): string[] {
  const readable = new Set(known.flatMap((name) => [name, `${name}_FILE`]));
  const strange = Object.keys(environment).filter(
    (name) => !readable.has(name) && !foreign.has(name) && !name.startsWith('OTEL_') && environment[name] !== '',
  );
  return strange.flatMap((name) => {
    const suggestion = nearest(name, readable);
    return suggestion === undefined
      ? []
      : [`${name} is not a variable of this service and is ignored; did you mean ${suggestion}?`];
  });
}

function nearest(name: string, readable: Iterable<string>): string | undefined {
  const byMistakes = [...readable]
    .map((one) => ({ one, mistakes: mistakesBetween(name, one) }))
    .filter(({ one, mistakes }) => mistakes <= Math.min(name.length, one.length) / charactersPerMistake)
    .toSorted((a, b) => a.mistakes - b.mistakes);
  return byMistakes[0]?.one;
}

/** The Levenshtein distance. */
function mistakesBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let fromAt = 0; fromAt < from.length; fromAt += 1) {
    const next = [fromAt + 1];
    for (let at = 1; at <= to.length; at += 1) {
      const replaced = (row[at - 1] ?? 0) + (from[fromAt] === to[at - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
