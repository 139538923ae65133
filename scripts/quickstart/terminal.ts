// How the quickstart looks. Colours only where the output is a terminal that wants them (NO_COLOR is heeded).
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
    /** Something that runs now, and where. */
    part: (name: string, address: string, note: string) =>
      print(`  ${name.padEnd(nameWidth)}${style('cyan', address)}  ${style('dim', note)}`),
    /** Something that happened, so many milliseconds after the start. */
    step: (atMs: number, name: string, text: string) =>
      print(`${style('dim', `${atMs} ms`.padStart(timeWidth))}  ${name.padEnd(nameWidth)}${text}`),
    /** More about the step before. */
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
