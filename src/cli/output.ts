// How commands print: tables and colours in a terminal, plain text in a pipe, one JSON document with --json.
//
// Results go to standard output, messages about the work (progress, errors) to standard error, so that a pipe gets only
// results. Text from outside is printed without control characters, which could rewrite the screen.
import { stripVTControlCharacters, styleText } from 'node:util';

export type Output = ReturnType<typeof createOutput>;

export type Style = 'good' | 'bad' | 'warn' | 'dim' | 'bold';

const formats = { good: 'green', bad: 'red', warn: 'yellow', dim: 'dim', bold: 'bold' } as const;

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

export function createOutput({ json }: { json: boolean }) {
  const complaints: string[] = [];
  let hasResult = false;

  return {
    isJson: json,
    paint,
    line,

    /** The result: as JSON with --json, otherwise printed by `asText`. */
    result(value: unknown, asText: () => void): void {
      hasResult = true;
      if (json) line(JSON.stringify(value, null, 2));
      else asText();
    },

    /** Call at the end: with --json, prints the errors if there is no result. */
    end(): void {
      if (json && !hasResult) line(errorDocument(complaints.join('\n')));
    },

    /** Progress messages for people. */
    say(text: string): void {
      if (json) process.stderr.write(`${text}\n`);
      else line(text);
    },

    table(head: readonly string[], rows: readonly (readonly (Cell | string)[])[]): void {
      const cells = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? { text: cell } : cell)));
      const widths = head.map((title, column) =>
        Math.max(title.length, ...cells.map((row) => printable(row[column]?.text ?? '').length)),
      );
      const print = (row: readonly Cell[]) =>
        line(
          row
            .map(({ text, style }, column) =>
              paint(printable(text).padEnd(column === row.length - 1 ? 0 : (widths[column] ?? 0)), style),
            )
            .join('  '),
        );
      print(head.map((text) => ({ text, style: 'dim' })));
      for (const row of cells) print(row);
    },

    /** Names and values, one pair per line. */
    facts(facts: readonly (readonly [string, Cell | string | null | undefined])[]): void {
      const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== '');
      const width = Math.max(...known.map(([name]) => name.length));
      for (const [name, value] of known) {
        const cell = typeof value === 'object' && value !== null ? value : { text: value ?? '' };
        line(
          `${paint(name.padEnd(width), 'dim')}  ${paint(printable(cell.text), 'style' in cell ? cell.style : undefined)}`,
        );
      }
    },

    complain(text: string): void {
      complaints.push(text);
      process.stderr.write(`${text}\n`);
    },

    /** One line that overwrites itself in a terminal; nothing elsewhere. */
    progress(done: number, total: number, what: string): void {
      if (!process.stderr.isTTY) return;
      const width = 24;
      const filled = total === 0 ? width : Math.round((width * Math.min(done, total)) / total);
      process.stderr.write(`\r${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done}/${total} ${what}\u001B[K`);
      if (done >= total) process.stderr.write('\n');
    },
  };
}

export function errorDocument(error: string): string {
  return JSON.stringify({ error }, null, 2);
}

/** Line ends and other control characters would break the layout, or worse. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, '\u{FFFD}');
}

function paint(text: string, style: Style | undefined): string {
  return style === undefined ? text : styleText(formats[style], text, { stream: process.stdout });
}

function line(text = ''): void {
  process.stdout.write(`${text}\n`);
}
