// What README.md shows of the quickstart: the output of a real run, from the first part that it starts to its last word.
// scripts/record-quickstart.ts puts it there; a test compares its shape with that of a run.
const begin = '<!-- The output of a real run: node scripts/record-quickstart.ts -->\n\n```\n';
const end = '\n```\n';

/** Of what `npm run quickstart -- --once` printed. What it says before, of installations, is not the same everywhere. */
export function recordingOf(output: string): string {
  const [recording] = /^ {2}Redis .*^✓ [^\n]*/ms.exec(output) ?? [];
  if (recording === undefined) throw new Error(`The quickstart did not come to its good end:\n${output}`);
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

/** Without what differs from run to run: times, sizes, ports and ids. */
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
