// CSV: quoting as in RFC 4180, and no cell that a spreadsheet would run.
import { expect, test } from 'vitest';
import { csvLine } from '../../src/ops/csv.ts';

test('quotes what needs it, and ends each line with CRLF', () => {
  expect(csvLine(['a', 'b,c', 'say "no"', 'two\nlines', null, undefined, 3])).toBe(
    'a,"b,c","say ""no""","two\nlines",,,3\r\n',
  );
});

test.for(['=1+1', '+1+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', ' =1', '＝1', '|x', '-'])(
  'puts an apostrophe before %j',
  (text) => {
    expect(csvLine([text]).replaceAll('"', '')).toBe(`'${text}\r\n`);
  },
);

test('leaves negative amounts numbers', () => {
  expect(csvLine(['-100.00', '-5'])).toBe('-100.00,-5\r\n');
});
