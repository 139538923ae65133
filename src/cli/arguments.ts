// Parsers of option values; commander adds the option's name to each error.
import { InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../time/duration.ts';
import { CommandError } from './exit-codes.ts';
import { parseTimeMs } from '../time/parse-time.ts';

/** An ISO 8601 time (UTC without an offset), or a duration before now (`2h`), in ms. */
export function parseTime(text: string): number {
  const agoMs = parseDurationMs(text);
  if (agoMs !== undefined) return Date.now() - agoMs;
  const ms = parseTimeMs(text);
  if (ms === undefined)
    throw new InvalidArgumentError(
      'It must be a time like 2026-01-31T00:00:00Z (UTC without an offset), or 2h for two hours ago.',
    );
  return ms;
}

/** From `--from` and `--to`; without `--to`, up to now. */
export function periodOf({ from: fromMs, to: toMs = Date.now() }: { readonly from: number; readonly to?: number }) {
  if (toMs <= fromMs) throw new CommandError('usage', '--to must be after --from.');
  return { fromMs, toMs };
}

export function parseCount(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('It must be a whole number from 1.');
  return count;
}

export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  if (port > 65_535) throw new InvalidArgumentError('It must be a port, 0 (any free one) to 65535.');
  return port;
}

export function parseHttpUrl(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new InvalidArgumentError('It must be a URL like https://payments.example.com/webhooks/payalo.');
  return text;
}

export function parseNumber(least: number, most: number) {
  return (text: string): number => {
    const number = text.trim() === '' ? Number.NaN : Number(text);
    if (!(number >= least && number <= most))
      throw new InvalidArgumentError(`It must be a number, ${least} to ${most}.`);
    return number;
  };
}
