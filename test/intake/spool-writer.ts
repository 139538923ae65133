// The process that the crash tests kill: spools numbered entries as fast as it can and prints each number once it is
// acknowledged. Arguments: the spool's folder, the count (0: for ever, until killed).
import { createSpool } from '../../src/intake/spool/spool.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { spoolEntry } from './spool-entry.ts';

const [dir = '', count = '0'] = process.argv.slice(2);
const spool = createSpool({ dir, maxBytes: 1e9, log: createLog({ level: 'error' }) });
await spool.ready();
const stayAlive = setInterval(() => {}, 60_000);

const last = Number(count) || Number.POSITIVE_INFINITY;
for (let first = 0; first < last; first += 20) {
  const numbers = Array.from({ length: Math.min(20, last - first) }, (_, offset) => first + offset);
  await Promise.all(
    numbers.map(async (number) => {
      const write = await spool.append(spoolEntry(`w${process.pid}-${number}`));
      process.stdout.write(`${write.kind === 'stored' ? `w${process.pid}-${number}` : `not ${write.kind}`}\n`);
    }),
  );
}
process.stdout.write('idle\n');
process.on('SIGTERM', () => {
  clearInterval(stayAlive);
  void spool.close();
});
