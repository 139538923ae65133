// CSV as in RFC 4180: commas, CRLF, quotes if needed. Made for spreadsheets, which execute cells that look like formulas:
// such a cell gets a leading apostrophe, unless it is a plain number.

type Cells = readonly (string | number | null | undefined)[];

/** Without it spreadsheets assume a local code page. */
export const byteOrderMark = '\u{FEFF}';

/** For spreadsheets: with a byte order mark and a header row. */
export function csvDocument(head: readonly string[], rows: readonly Cells[]): string {
  return byteOrderMark + [head, ...rows].map(csvLine).join('');
}

export function csvLine(cells: Cells): string {
  return `${cells.map((cell) => csvCell(String(cell ?? ''))).join(',')}\r\n`;
}

/** What spreadsheets read as the beginning of a formula, including full-width characters. */
const beginsLikeFormula = /^\s*[=+\-@＝＋－＠|%]|^[\t\r\n]/;
const isNumber = /^-?\d+(?:\.\d+)?$/;

function csvCell(text: string): string {
  const safe = beginsLikeFormula.test(text) && !isNumber.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
