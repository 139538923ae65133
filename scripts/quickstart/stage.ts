// The environment of the quickstart: a private Redis, the simulated gateway, the sample merchant, and the service in all
// roles between them, each on a free port of the loopback address, with keys made for this one run.
//
// Everything started is pushed on the given stack, to be stopped in reverse order.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { createGatewaySimulator, type GatewayEvent, type GatewaySimulator } from '../../simulator/gateway.ts';
import { createMerchantSimulator, type Delivery, type MerchantSimulator } from '../../simulator/merchant.ts';
import { freePort, isFree, startPrivateRedis } from '../../test/support/private-redis.ts';
import { ensureRedisServer } from '../../test/support/redis-server.ts';
import { startServiceProcess, type LogLine } from '../../test/support/service-process.ts';
import type { Terminal } from './terminal.ts';

export interface Stage {
  readonly gateway: GatewaySimulator;
  readonly gatewayUrl: string;
  readonly merchant: MerchantSimulator;
  readonly apiKey: string;
  /** The URL to which the gateway sends callbacks. */
  readonly resultUrl: string;
  readonly consoleUrl: string | undefined;
  readonly serviceLog: readonly LogLine[];
  /** Rejects when the service ends before it was asked to. */
  readonly broken: Promise<never>;
  readonly onCallback: Listeners<GatewayEvent>;
  readonly onDelivery: Listeners<Delivery>;
  /** From now on prints what the service does. */
  narrate(tell: Terminal['event']): void;
}

export interface Listeners<T> {
  /** The next matching event. */
  next(fits: (value: T) => boolean): Promise<T>;
}

const root = path.dirname(path.dirname(import.meta.dirname));
const portWanted = 3000;
const operatorPortWanted = 3001;
const callbackPath = '/webhooks/payalo';
const callbackDelayMs = 400;

export interface StageOptions {
  readonly started: AsyncDisposableStack;
  readonly terminal: Terminal;
  readonly confirm: 'after' | 'before';
}

export async function startStage({ started, terminal, confirm }: StageOptions): Promise<Stage> {
  const apiKey = `demo-${randomBytes(12).toString('hex')}`;
  const secret = `whsec_${randomBytes(24).toString('base64')}`;
  const server = await ensureRedisServer({ say: terminal.note });

  const data = path.join(root, 'data');
  await mkdir(data, { recursive: true });
  const dir = await mkdtemp(path.join(data, 'quickstart-'));
  started.defer(() => rm(dir, { recursive: true, force: true }));

  const redis = await startPrivateRedis({ server, dir: path.join(dir, 'redis') });
  started.defer(() => redis.stop());
  terminal.part('Redis', redis.url, 'private; every write is on disk before it is confirmed');

  const callbacks = createListeners<GatewayEvent>();
  const gateway = createGatewaySimulator({ keys: [apiKey], callbackDelayMs, onEvent: callbacks.emit });
  started.defer(() => gateway.close());
  const { url: gatewayUrl } = await gateway.listen();
  terminal.part('Gateway', gatewayUrl, 'simulated');

  const deliveries = createListeners<Delivery>();
  const merchant = createMerchantSimulator({ secrets: [secret], onDelivery: deliveries.emit });
  started.defer(() => merchant.close());
  const { url: merchantUrl } = await merchant.listen();
  terminal.part('Merchant', merchantUrl, 'a sample; checks signatures');

  let onLog: (line: LogLine) => void = () => undefined;
  const service = await startServiceProcess({
    cwd: dir,
    onLog: (line) => onLog(line),
    env: {
      HOST: '127.0.0.1',
      PORT: String(await preferred(portWanted)),
      OPS_PORT: String(await preferred(operatorPortWanted)),
      CALLBACK_PATH: callbackPath,
      PAYALO_API_KEYS: apiKey,
      REDIS_URL: redis.url,
      SPOOL_DIR: path.join(dir, 'spool'),
      FORWARD_URL: merchantUrl,
      FORWARD_SECRET: secret,
      GATEWAY_BASE_URL: gatewayUrl,
      CONFIRM: confirm,
      RECONCILE_EVERY: '1s',
      RECONCILE_GRACE: '5s',
      SHUTDOWN_TIMEOUT: '3s',
    },
  });
  started.defer(async () => void (await service.stop()));
  const resultUrl = `${service.url}${callbackPath}`;
  const consoleUrl = service.opsUrl === '' ? undefined : `${service.opsUrl}/`;
  terminal.part('Service', resultUrl, 'receives, delivers, reconciles');
  if (consoleUrl !== undefined) terminal.part('Console', consoleUrl, 'open it in a browser');

  return {
    gateway,
    gatewayUrl,
    merchant,
    apiKey,
    resultUrl,
    consoleUrl,
    serviceLog: service.logs,
    broken: service.exited.then(({ code, signal }) => {
      throw new Error(`The service ended unexpectedly (${signal ?? code}). Its last output:\n${service.output()}`);
    }),
    onCallback: callbacks,
    onDelivery: deliveries,
    narrate(tell) {
      onLog = (line) => {
        const event = String(line['event']);
        const about = String(line['gatewayReference'] ?? line['reason']);
        if (event.startsWith('callback.')) tell(event.slice('callback.'.length), about, line['ms']);
        if (event === 'confirmation.denied') tell('denied', `${about}: the gateway does not know it`, undefined);
        if (event === 'delivery.attempted') tell(String(line['verdict']), about, line['ms']);
      };
    },
  };
}

async function preferred(port: number): Promise<number> {
  return (await isFree(port)) ? port : freePort();
}

function createListeners<T>(): Listeners<T> & { readonly emit: (value: T) => void } {
  const waiting = new Set<(value: T) => void>();
  return {
    emit: (value) => {
      for (const listener of waiting) listener(value);
    },
    next: (fits) =>
      new Promise((resolve) => {
        const listener = (value: T) => {
          if (!fits(value)) return;
          waiting.delete(listener);
          resolve(value);
        };
        waiting.add(listener);
      }),
  };
}
