// The sample merchant: an endpoint that handles deliveries as a good merchant does (checks the signature, acts once per
// `webhook-id`, lets the highest `payalo-sequence` win) and can be told to misbehave at any moment. It keeps every delivery
// exactly as received. Imports nothing of the product.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { act, answer, type MerchantBehaviour } from './merchant-behaviour.ts';
import { isSignedBy } from './webhook-signature.ts';

export interface MerchantSimulatorOptions {
  readonly host?: string | undefined;
  /** 0, the default: a free port, kept over `down()` and `up()`. */
  readonly port?: number | undefined;
  /** The path of `url`. Every path is answered; a delivery records its own. */
  readonly path?: string | undefined;
  /** With secrets, a delivery without a valid signature gets 401 and has no effect. */
  readonly secrets?: readonly string[] | undefined;
  readonly now?: (() => number) | undefined;
  readonly onDelivery?: ((delivery: Delivery) => void) | undefined;
}

export interface Delivery {
  readonly receivedAtMs: number;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values alternate, exactly as received. */
  readonly rawHeaders: readonly string[];
  /** The bytes as received. */
  readonly body: Buffer;
  readonly webhookId: string | null;
  readonly signature: 'unchecked' | 'valid' | 'invalid';
  /** False if this `webhook-id` had its effect before. */
  readonly firstTime: boolean;
  /** The status of the answer; null if there is none yet, or never was. */
  answered: number | null;
}

/** The merchant's view of one transaction. */
export interface MerchantOrder {
  readonly status: string;
  readonly sequence: number;
  readonly body: string;
}

export type MerchantSimulator = ReturnType<typeof createMerchantSimulator>;

export function createMerchantSimulator(options: MerchantSimulatorOptions = {}) {
  const {
    host = '127.0.0.1',
    path = '/payments',
    secrets = [],
    now = Date.now,
    onDelivery = () => undefined,
  } = options;
  let port = options.port ?? 0;
  let server: Server | null = null;
  let closing = new AbortController();
  let deliveries: Delivery[] = [];
  const effects = new Map<string, Delivery>();
  const orders = new Map<string, MerchantOrder>();
  const next: MerchantBehaviour[] = [];
  let always: (delivery: Delivery) => MerchantBehaviour = takeWell;

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const delivery = describe(request, await readAll(request));
    deliveries.push(delivery);
    const behaviour = delivery.signature === 'invalid' ? answer(401) : (next.shift() ?? always(delivery));
    if (behaviour.kind === 'answer' && behaviour.delayMs > 0) {
      await delay(behaviour.delayMs, undefined, { signal: closing.signal });
    }
    delivery.answered = act(behaviour, request, response);
    if (delivery.answered !== null && delivery.answered >= 200 && delivery.answered < 300) takeEffect(delivery);
    onDelivery(delivery);
  }

  function describe(request: IncomingMessage, body: Buffer): Delivery {
    const { headers } = request;
    const webhookId = headerOf(headers, 'webhook-id');
    const signed = {
      id: webhookId ?? '',
      timestamp: headerOf(headers, 'webhook-timestamp') ?? '',
      signature: headerOf(headers, 'webhook-signature') ?? '',
      body,
    };
    const checked = isSignedBy(secrets, signed, now()) ? 'valid' : 'invalid';
    return {
      receivedAtMs: now(),
      method: request.method ?? '',
      path: request.url ?? '',
      headers,
      rawHeaders: request.rawHeaders,
      body,
      webhookId,
      signature: secrets.length === 0 ? 'unchecked' : checked,
      firstTime: webhookId === null || !effects.has(webhookId),
      answered: null,
    };
  }

  /** Acts once per `webhook-id`: the highest sequence sets the order's state; of equal ones, the later delivery. */
  function takeEffect(delivery: Delivery): void {
    if (delivery.webhookId === null || effects.has(delivery.webhookId)) return;
    effects.set(delivery.webhookId, delivery);
    const reference = decodeURIComponent(headerOf(delivery.headers, 'payalo-gateway-reference') ?? '');
    const sequence = Number(headerOf(delivery.headers, 'payalo-sequence') ?? 0);
    const known = orders.get(reference);
    if (known !== undefined && known.sequence > sequence) return;
    const body = delivery.body.toString();
    orders.set(reference, { status: statusOf(body), sequence, body });
  }

  async function up(): Promise<{ url: string; port: number }> {
    if (server === null) {
      closing = new AbortController();
      const starting = createServer((request, response) => {
        take(request, response).catch(() => response.destroy()); // the sender hung up, or the merchant went down
      });
      port = await listenOn(starting, host, port);
      server = starting;
    }
    return { url: `http://${host}:${port}${path}`, port };
  }

  /** Refuses connections from now on and cuts open ones. */
  async function down(): Promise<void> {
    const stopping = server;
    server = null;
    if (stopping === null) return;
    closing.abort();
    await new Promise<void>((resolve) => {
      stopping.close(() => resolve());
      stopping.closeAllConnections();
    });
  }

  return {
    listen: up,
    up,
    down,
    close: down,
    /** Sets the answers of the next deliveries, one each; afterwards `always` applies. */
    next(...behaviours: readonly MerchantBehaviour[]): void {
      next.push(...behaviours);
    },
    /** Sets the answer of every further delivery; a function decides for each. Drops what is left of `next`. */
    always(behaviour: MerchantBehaviour | ((delivery: Delivery) => MerchantBehaviour)): void {
      next.length = 0;
      always = typeof behaviour === 'function' ? behaviour : () => behaviour;
    },
    /** Every delivery in order of arrival, including refused ones. */
    deliveries: (): readonly Delivery[] => deliveries,
    deliveriesOf: (gatewayReference: string): readonly Delivery[] =>
      deliveries.filter(({ headers }) => headers['payalo-gateway-reference'] === encodeURIComponent(gatewayReference)),
    /** The `webhook-id`s that had their effect: once each, however often they were delivered. */
    uniqueIds: (): ReadonlySet<string> => new Set(effects.keys()),
    /** By gateway reference. */
    orders: (): ReadonlyMap<string, MerchantOrder> => orders,
    /** Forgets everything, including behaviours. */
    reset(): void {
      deliveries = [];
      effects.clear();
      orders.clear();
      next.length = 0;
      always = takeWell;
    },
  };
}

function takeWell(): MerchantBehaviour {
  return answer(200);
}

const bodyBytesMax = 16_777_216;

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > bodyBytesMax) throw new Error('The delivery is too large.');
    chunks.push(buffer);
  }
  return Buffer.concat(chunks);
}

/** Resolves with the port, rejects with the system's error. */
async function listenOn(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : port;
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}

function statusOf(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null && 'status' in parsed ? String(parsed.status) : 'unreadable';
  } catch {
    return 'unreadable';
  }
}
