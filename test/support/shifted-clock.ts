// Preloaded into a service (`node --import`): shifts its clock by the offset in a file, and steps when the file changes.
// Threads of the process load it too.
import { readFileSync } from 'node:fs';

const file = process.env['TEST_CLOCK_FILE'];
const everyMs = 50;
let offsetMs = 0;

function readOffset(path: string): void {
  try {
    offsetMs = Number(readFileSync(path, 'utf8')) || 0;
  } catch {
    offsetMs = 0; // not written yet
  }
}

if (file !== undefined) {
  const now = Date.now.bind(Date);
  const shiftedNow = () => now() + offsetMs;
  readOffset(file);
  setInterval(() => readOffset(file), everyMs).unref();
  globalThis.Date = new Proxy(Date, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [shiftedNow()] : args, newTarget),
    apply: () => new Date(shiftedNow()).toString(),
    get: (target, key) => (key === 'now' ? shiftedNow : Reflect.get(target, key)),
  });
}
