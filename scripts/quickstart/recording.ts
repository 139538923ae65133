// The part of README.md that shows the quickstart: the output of a real run, from the first started part to the end.
// scripts/record-quickstart.ts puts it there; a test compares its shape with that of a run.
const begin = '<!-- The output of a real run: node scripts/record-quickstart.ts -->\n\n```\n';
const end = '\n```\n';

/** Cuts it out of the output of `npm run quickstart -- --once`. The installation messages before it differ by machine. */
export function recordingOf(output: string): string {
  const [recording] = /^ {2}Redis .*^✓ [^\n]*/ms.exec(output) ?? [];
  if (recording === undefined) throw new Error(`The quickstart did not succeed:\n${output}`);
  return recording;
}

export function recordingIn(document: string): string {
  const { from, to } = placeIn(document);
  return document.slice(from, to);
}

export function withRecording(document: string, recording: string): string {
  const { from, to } = placeIn(document);
  return document.slice(0, from) + recording + document.slice(to);
}

/** Without the parts that differ between runs: times, sizes, ports and ids. */
export function shapeOf(recording: string): string {
  return recording
    .replaceAll(/ after [\d.]+ ms$/gm, '') // read from the log, which may come later
    .replaceAll(/ *\b[\d.]+ (ms|bytes)\b/g, ' N $1')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replaceAll(/\bb2p\w+/g, 'REFERENCE')
    .replaceAll(/\bmsg_[\w-]+/g, 'WEBHOOK-ID');
}

function placeIn(document: string): { from: number; to: number } {
  const at = document.indexOf(begin);
  const from = at + begin.length;
  const to = document.indexOf(end, from);
  if (at < 0 || to < 0) throw new Error(`The document has no block that begins with ${JSON.stringify(begin)}.`);
  return { from, to };
}
