// The quickstart's output. Uses colours only on a terminal that supports them (respects NO_COLOR).
import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';

export type Terminal = ReturnType<typeof createTerminal>;

const nameWidth = 11;
const timeWidth = 10;

export function createTerminal(stream: WriteStream) {
  const style = (format: Parameters<typeof styleText>[0], text: string) => styleText(format, text, { stream });
  const print = (text: string) => void stream.write(`${text}\n`);

  return {
    title: (text: string) => print(`\n${style('bold', text)}\n`),
    heading: (text: string) => print(`\n${style('bold', text)}`),
    /** A part that has started, and its address. */
    part: (name: string, address: string, note: string) =>
      print(`  ${name.padEnd(nameWidth)}${style('cyan', address)}  ${style('dim', note)}`),
    /** An event, with the milliseconds since the start. */
    step: (atMs: number, name: string, text: string) =>
      print(`${style('dim', `${atMs} ms`.padStart(timeWidth))}  ${name.padEnd(nameWidth)}${text}`),
    /** Details of the previous step. */
    detail: (text: string) => print(`${' '.repeat(timeWidth + 2 + nameWidth)}${style('dim', text)}`),
    event: (name: string, text: string, ms: unknown) =>
      print(
        `  ${style('dim', new Date().toLocaleTimeString('en-GB'))}  ${name.padEnd(nameWidth + 2)}${text}${typeof ms === 'number' ? style('dim', `  ${ms} ms`) : ''}`,
      ),
    block: (title: string, text: string) => print(`${style('bold', title)}\n\n${text.replaceAll(/^/gm, '  ')}\n`),
    note: (text: string) => print(style('dim', text)),
    success: (text: string) => print(`\n${style('green', `✓ ${text}`)}\n`),
    failure: (text: string) => print(`\n${style('red', `✗ ${text}`)}\n`),
  };
}
