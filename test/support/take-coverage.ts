// Preloaded into every process and thread of a test run (`node --import`): writes the coverage of the project's sources
// several times a second, because most of these processes end by SIGKILL. Uses V8's counters through node:inspector.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import path from 'node:path';
import { threadId } from 'node:worker_threads';

const dir = process.env['TEST_COVERAGE_DIR'];
const everyMs = 100;

if (dir !== undefined) start(dir);

function start(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  let count = 0;

  function write(): void {
    session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) return;
      const ours = taken.result.filter(({ url }) => /^file:.*\/src\/[^?]*\.ts/.test(url));
      if (ours.length === 0) return;
      count += 1;
      const file = path.join(folder, `${process.pid}-${threadId}-${count}.json`);
      writeFileSync(`${file}.part`, JSON.stringify(ours));
      renameSync(`${file}.part`, file); // a rename is atomic, even if SIGKILL comes
    });
  }

  setInterval(write, everyMs).unref();
  process.once('exit', write);
}
