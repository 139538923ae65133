// Delivery under test: a queue in a real Redis, the stage in this process, and a merchant that misbehaves on command.
// Every rig has a unique queue name, so that the tests of a file can share one Redis.
import { Queue, type Job } from 'bullmq';
import { webhookIdOf } from '../../src/callback/identity.ts';
import type { BreakerSettings } from '../../src/deliver/breaker/breaker.ts';
import { createDelivery } from '../../src/deliver/delivery.ts';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import { createRedis } from '../../src/redis/connections.ts';
import { createNonce, jobIdOf, jobName, jobOptions, type JobData } from '../../src/callback/job.ts';
import { loadConfig, type Config } from '../../src/config/config.ts';
import type { Environment } from '../../src/config/resolve-values.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { digestOf } from '../../src/callback/identity.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

export interface RigOptions {
  readonly env?: Environment;
  readonly breakerSettings?: BreakerSettings;
  readonly secrets?: readonly string[];
}

/** The breaker's times for tests: ten times shorter. */
export const fastBreaker: BreakerSettings = { failures: 5, firstWaitMs: 100, waitMaxMs: 500 };

export type Rig = Awaited<ReturnType<typeof createRig>>;

let count = 0;

export function configOf(env: Environment): Config {
  const loaded = loadConfig({ PAYALO_API_KEYS: 'a-key-of-16-characters', ...env }, ['work']);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

export async function createRig(redis: TestRedis, options: RigOptions = {}) {
  count += 1;
  const merchant = createMerchantSimulator({ secrets: options.secrets });
  const { url } = await merchant.up();
  const target = options.env?.['HANDLER_MODULE'] === undefined ? { FORWARD_URL: url } : {};
  const config = configOf({
    REDIS_URL: redis.url,
    QUEUE_NAME: `deliver-${process.pid}-${count}`,
    FORWARD_RETRIES: '20ms,20ms,20ms',
    FORWARD_TIMEOUT: '5s',
    ...target,
    ...options.env,
  });
  const queue = brandQueue('default', config);
  const connection = createRedis(config.redis, { kind: 'producer', commandTimeoutMs: 5_000 }, 'test', silent);
  await until(() => connection.status === 'ready');
  const bull = new Queue(queue.name, { connection, prefix: queue.prefix });
  const logs: Record<string, unknown>[] = [];
  const output: string[] = [];
  const stages: ReturnType<typeof createDelivery>[] = [];

  function newStage() {
    const destination = {
      write(line: string) {
        output.push(line);
        logs.push(JSON.parse(line));
      },
    };
    const log = createLog({ level: 'info', destination });
    const metrics = createMetrics();
    const breakerSettings = options.breakerSettings ?? fastBreaker;
    return { metrics, stage: createDelivery({ config, log, metrics, breakerSettings }) };
  }

  return {
    config,
    queue,
    bull,
    merchant,
    url,
    connection,
    logs,
    /** All log lines, unparsed. */
    output,
    /** Starts the delivery stage; further calls act as additional worker processes. */
    async start() {
      const { stage, metrics } = newStage();
      stages.push(stage);
      await stage.start();
      return { metrics, stop: (deadlineMs: number) => stage.stop(deadlineMs) };
    },
    add: async (fields: Partial<JobData> = {}) => addCallback(bull, fields),
    /** Resolves with the job once it is in that state. */
    async settled(job: Job, state: 'completed' | 'failed' | 'delayed' = 'completed'): Promise<Job> {
      await until(async () => (await job.getState()) === state, {
        describe: `job ${job.id} to be ${state}`,
        timeoutMs: 20_000,
      });
      const found = await bull.getJob(job.id ?? '');
      if (found === undefined) throw new Error('the job is gone');
      return found;
    },
    async attemptsOf(job: Job): Promise<unknown[]> {
      const { logs: lines } = await bull.getJobLogs(job.id ?? '');
      return lines.map((line): unknown => JSON.parse(line));
    },
    attempted: () => logs.filter(({ event }) => event === 'delivery.attempted'),
    async [Symbol.asyncDispose]() {
      await merchant.down();
      await Promise.all(stages.map(async (stage) => stage.stop(1_500)));
      await bull.close();
      connection.disconnect();
    },
  };
}

const silent = { info: () => undefined, warn: () => undefined };

export function jobData(fields: Partial<JobData> = {}): JobData {
  count += 1;
  return {
    version: 1,
    brand: 'default',
    source: 'callback',
    gatewayReference: `b2p${count.toString(36).padStart(8, '0')}`,
    merchantReference: 'quickstart-001',
    status: 'success',
    type: 'payin',
    receivedAt: new Date().toISOString(),
    requestId: `request-${count}`,
    body: '{ "status": "success",  "finalAmount": { "value": 100.00, "currency": "KES" } }',
    ...fields,
  };
}

export async function addCallback(bull: Queue, fields: Partial<JobData> = {}): Promise<Job> {
  const data = jobData(fields);
  const { brand, gatewayReference } = data;
  const digest = digestOf({ brand, gatewayReference, kind: 'terminal' });
  return bull.add(jobName, data, { jobId: jobIdOf(digest, createNonce()), ...jobOptions });
}

export function terminalWebhookId(gatewayReference: string, sequence = 0): string {
  return webhookIdOf({ brand: 'default', gatewayReference, kind: 'terminal' }, sequence);
}
