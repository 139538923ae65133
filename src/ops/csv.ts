// CSV as RFC 4180 has it: commas, CRLF, quotes where they are needed. For spreadsheets, which take a cell that begins like a
// formula for one: such a cell gets an apostrophe in front, unless it is a plain number.

type Cells = readonly (string | number | null | undefined)[];

/** Spreadsheets take a file without it for one of their own code page. */
export const byteOrderMark = '\u{FEFF}';

/** For spreadsheets: with a byte order mark and a head. */
export function csvDocument(head: readonly string[], rows: readonly Cells[]): string {
  return byteOrderMark + [head, ...rows].map(csvLine).join('');
}

export function csvLine(cells: Cells): string {
  return `${cells.map((cell) => csvCell(String(cell ?? ''))).join(',')}\r\n`;
}

/** What spreadsheets take for the beginning of a formula, full-width forms included. */
const beginsLikeFormula = /^\s*[=+\-@＝＋－＠|%]|^[\t\r\n]/;
const isNumber = /^-?\d+(?:\.\d+)?$/;

function csvCell(text: string): string {
  const safe = beginsLikeFormula.test(text) && !isNumber.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
