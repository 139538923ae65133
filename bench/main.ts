// `npm run bench`: the benchmark. Contestants run in turn within one call, several rounds; medians are shown.
//
//   npm run bench                        every section
//   npm run bench -- accept drain        some of them
//   npm run bench -- --short             a smoke test of every section; its figures mean nothing
//   npm run bench -- --rounds=9 accept   more rounds
//   npm run bench -- accept drain --against=../other   compares with the service of another checkout
//
// Prints tables and writes bench/results.json, then stops every process. With BENCH_PROFILE=folder the service writes CPU
// profiles there.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createRig } from './rig.ts';
import type { Row, Section, SectionResult } from './section.ts';
import { accept } from './sections/accept.ts';
import { confirm } from './sections/confirm.ts';
import { disk } from './sections/disk.ts';
import { drain } from './sections/drain.ts';
import { endToEnd } from './sections/end-to-end.ts';
import { footprint } from './sections/footprint.ts';
import { growth } from './sections/growth.ts';
import { latency } from './sections/latency.ts';
import { memory } from './sections/memory.ts';
import { scale } from './sections/scale.ts';
import { spool } from './sections/spool.ts';
import { workers } from './sections/workers.ts';

const sections: readonly Section[] = [
  accept,
  latency,
  endToEnd,
  drain,
  memory,
  disk,
  growth,
  spool,
  scale,
  workers,
  confirm,
  footprint,
];
const roundsFull = 5;

const usage = `Usage: npm run bench -- [options] [section ...]

Runs all sections, or those that are named: ${sections.map(({ name }) => name).join(', ')}.

  --rounds=N        rounds of each section (default ${roundsFull})
  --against=FOLDER  compare with the service of another checkout
  --short           a smoke test; its figures mean nothing
  --out=FILE        where to write the results (default bench/results.json)`;

const { values, positionals } = readArguments();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const unknown = positionals.filter((name) => !sections.some((section) => section.name === name));
if (unknown.length > 0) refuse(`Unknown section ${unknown.join(', ')}.`);
const size = {
  short: values.short,
  rounds: Number(values.rounds ?? (values.short ? 1 : roundsFull)),
  against: values.against === undefined ? undefined : path.resolve(values.against),
};
const chosen = sections.filter(({ name }) => positionals.length === 0 || positionals.includes(name));

await using rig = await createRig((text) => console.error(text));
const results: Record<string, SectionResult> = {};
console.log(
  `Node ${process.version}, ${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'}), appendfsync always`,
);
for (const section of chosen) {
  console.log(`\n## ${section.title}\n`);
  const result = await section.run(rig, size);
  results[section.name] = result;
  console.log(tableOf(result.rows));
  for (const [name, value] of Object.entries(result.summary)) console.log(`${name}: ${value}`);
  for (const note of result.notes ?? []) console.log(note);
  save(values.out);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        short: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        against: { type: 'string' },
        out: { type: 'string', default: path.join(import.meta.dirname, 'results.json') },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function refuse(problem: string): never {
  console.error(`${problem}\n\n${usage}`);
  process.exit(64);
}

/** After each section, so that an interrupted run keeps its results. Sections that were not run keep their last result. */
function save(file: string): void {
  const machine = { node: process.version, processors: cpus().length, model: cpus()[0]?.model };
  const fresh = Object.fromEntries(
    Object.entries(results).map(([name, result]) => [name, { at: new Date().toISOString(), ...size, ...result }]),
  );
  writeFileSync(file, `${JSON.stringify({ machine, sections: { ...earlier(file), ...fresh } }, undefined, 2)}\n`);
}

function earlier(file: string): object {
  try {
    const saved: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const isObject = typeof saved === 'object' && saved !== null && 'sections' in saved;
    return isObject && typeof saved.sections === 'object' && saved.sections !== null ? saved.sections : {};
  } catch {
    return {};
  }
}

/** A table in Markdown, its columns aligned. */
function tableOf(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [names, ...rows.map((row) => names.map((name) => String(row[name] ?? '')))];
  const widths = names.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const lines = cells.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}
