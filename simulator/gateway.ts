// A PayAlo gateway for development and tests, as its public documentation describes it. It owns its transactions (in memory),
// its keys and its faults; everything that a test can cause is a function of the returned object, and most of it also a call
// below `/_simulator`. Imports nothing of the product, so that a shared bug cannot cancel out.
import { createBreaker, type Breaker } from './breaker.ts';
import { createCallbackSender, type CallbackSenderOptions } from './callbacks.ts';
import { noCalls, type CallCounts } from './gateway-api.ts';
import { createGatewayControls } from './gateway-controls.ts';
import { createGatewayServer } from './gateway-server.ts';
import { createLoad } from './load.ts';
import { createOutageSwitch } from './outage.ts';
import { createRandom } from './random.ts';
import { createScripts } from './scripts.ts';
import { createTransactions, type CallbackRecord, type Transaction } from './transactions.ts';

export interface GatewaySimulatorOptions {
  readonly host?: string | undefined;
  /** 0, the default: a free port, kept over `down()` and `up()`. */
  readonly port?: number | undefined;
  /** The prefix of every API path, such as `/gateway/mmo/v2`. */
  readonly basePath?: string | undefined;
  /** The keys of the merchant `default`; its callbacks carry the first one. */
  readonly keys?: readonly string[] | undefined;
  /** Further merchants and their keys. */
  readonly merchants?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The delay of a callback: this long to twice as long. */
  readonly callbackDelayMs?: number | undefined;
  readonly callbackTimeoutMs?: number | undefined;
  readonly lossProbability?: number | undefined;
  readonly duplicateProbability?: number | undefined;
  readonly seed?: number | undefined;
  readonly breaker?: { readonly failuresToOpen: number; readonly openMs: number } | undefined;
  readonly statusCallsPerSecondMax?: number | undefined;
  readonly requireHttps?: boolean | undefined;
  readonly now?: (() => number) | undefined;
  readonly onEvent?: ((event: GatewayEvent) => void) | undefined;
}

export type GatewayEvent =
  | { readonly kind: 'started'; readonly transaction: Transaction }
  | { readonly kind: 'callback'; readonly transaction: Transaction; readonly record: CallbackRecord };

export const simulatorKey = 'simulator-api-key-0001';

export type GatewaySimulator = ReturnType<typeof createGatewaySimulator>;

export function createGatewaySimulator(options: GatewaySimulatorOptions = {}) {
  const { now = Date.now, callbackDelayMs = 1000, onEvent = () => undefined } = options;
  const { breaker: breakerOptions = { failuresToOpen: 5, openMs: 30_000 }, statusCallsPerSecondMax = 50 } = options;
  const seed = options.seed ?? 1;
  const transactions = createTransactions({ random: createRandom(seed) });
  const jitter = createRandom(seed + 1); // separate: a step's wait must not decide which callback is lost
  const keys = new Map(
    Object.entries({ default: options.keys ?? [simulatorKey], ...options.merchants }).map(([name, keys]) => [
      name,
      [...keys],
    ]),
  );
  const breakerOf = memoize((): Breaker => createBreaker({ ...breakerOptions, now }));
  const load = createLoad({ statusCallsPerSecond: statusCallsPerSecondMax, now });
  const chances = {
    lossProbability: options.lossProbability ?? 0,
    duplicateProbability: options.duplicateProbability ?? 0,
  };
  const calls: CallCounts = noCalls();
  const outage = createOutageSwitch();
  const senderOptions: CallbackSenderOptions = {
    timeoutMs: options.callbackTimeoutMs ?? 15_000,
    chances,
    now,
    keyOf: (merchant) => keys.get(merchant)?.[0] ?? '',
    breakerOf,
    onCallback: (transaction, record) => onEvent({ kind: 'callback', transaction, record }),
  };
  const sender = createCallbackSender(senderOptions);
  const scripts = createScripts({ sender, now, delayMs: () => callbackDelayMs * (1 + jitter()) });
  const controls = createGatewayControls({
    transactions,
    sender,
    scripts,
    outage,
    load,
    chances,
    calls,
    keys,
    breakerOf,
    now,
  });
  const server = createGatewayServer({
    host: options.host ?? '127.0.0.1',
    port: options.port ?? 0,
    basePath: options.basePath ?? '',
    controls,
    api: {
      transactions,
      scripts,
      outage,
      calls,
      now,
      requireHttps: options.requireHttps ?? false,
      merchantOf: (key) => [...keys].find(([, accepted]) => accepted.includes(key))?.[0] ?? null,
      statusCallAllowed: load.statusCallAllowed,
      delayOf: load.delayOf,
      onStarted: (transaction) => onEvent({ kind: 'started', transaction }),
    },
  });

  return {
    ...controls,
    /** Starts listening; `url` is the base URL for clients. */
    listen: () => server.up(),
    /** Refuses connections from now on. Scripts and callbacks continue; `up` listens on the same port again. */
    down: () => server.down(),
    up: () => server.up(),
    /** Stops it: callbacks that are still due never come. */
    async close(): Promise<void> {
      await server.down();
      await Promise.all([sender.close(), scripts.close()]);
    },
  };
}

/** One value per merchant, created on first use. */
function memoize<T>(make: () => T): (merchant: string) => T {
  const values = new Map<string, T>();
  return (merchant) => {
    const value = values.get(merchant) ?? make();
    values.set(merchant, value);
    return value;
  };
}
