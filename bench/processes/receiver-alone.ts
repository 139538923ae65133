// The service's whole intake path (key, parsing, identity, job, log line, metrics) without storage: the cost of a callback
// without Redis and the network. It answers at the end of the event loop's turn.
import { createIntake } from '../../src/intake/intake.ts';
import { acceptArguments } from '../../src/store/accept/accept-batch.ts';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import { createReceiver } from '../../src/receive/receiver.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { benchKey } from '../callback-text.ts';

const loaded = loadConfig({ HOST: '127.0.0.1', PORT: process.argv[2], PAYALO_API_KEYS: benchKey }, ['receive']);
if ('problems' in loaded) throw new Error(loaded.problems.join('; '));
const { config } = loaded;
const log = createLog({ level: config.LOG_LEVEL });
const metrics = createMetrics();

const intake = createIntake({
  storeFor(brand) {
    const argumentsOf = acceptArguments(brandQueue(brand, config), config);
    return {
      async batch(items) {
        argumentsOf(items);
        await new Promise(setImmediate);
        return { outcomes: items.map(() => 'queued'), confirmed: true };
      },
      look: async () => ({ gone: [], confirmed: true }),
      reset: () => undefined,
    };
  },
  spool: {
    append: async () => ({ kind: 'full' }),
    canStore: () => false,
    stats: () => ({ entries: 0, bytes: 0 }),
  },
  settings: { budgetMs: config.ACK_BUDGET, spoolBytesMax: config.SPOOL_MAX_BYTES },
  log,
});
const receiver = await createReceiver({
  config,
  log,
  metrics,
  intake,
  quarantine: async () => false,
  canStore: () => true,
});
await receiver.listen();
