// `npm run cli -- simulate`: the gateway and the sample merchant in a process of their own, with a log on standard output,
// until a signal. The command line is parsed elsewhere.
import { once } from 'node:events';
import { controlApiHelp } from './control-api.ts';
import { createGatewaySimulator, simulatorKey, type GatewayEvent } from './gateway.ts';
import { createMerchantSimulator, type Delivery } from './merchant.ts';
import { outcomesHelp } from './outcomes.ts';

export const simulatorHelp = `${outcomesHelp}\n\n${controlApiHelp}`;

export interface SimulatorOptions {
  readonly host?: string | undefined;
  readonly gatewayPort?: number | undefined;
  readonly merchantPort?: number | undefined;
  readonly basePath?: string | undefined;
  readonly keys?: readonly string[] | undefined;
  readonly merchants?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The sample merchant checks signatures when it has secrets. */
  readonly forwardSecrets?: readonly string[] | undefined;
  readonly callbackDelayMs?: number | undefined;
  readonly lossProbability?: number | undefined;
  readonly duplicateProbability?: number | undefined;
  readonly answerDelayMs?: number | undefined;
  readonly statusCallsPerSecondMax?: number | undefined;
  readonly seed?: number | undefined;
  /** Called once both listen. */
  readonly onListening?: ((addresses: SimulatorAddresses) => void) | undefined;
}

export interface SimulatorAddresses {
  readonly gateway: string;
  readonly controls: string;
  readonly merchant: string;
  /** The keys that the gateway accepts as X-Api-Key. */
  readonly key: string;
}

export const gatewayPortDefault = 4010;
export const merchantPortDefault = 4011;

/** Runs until the signal aborts. Rejects with the system's error if a port is in use. */
export async function runSimulator(
  options: SimulatorOptions,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { host, basePath, keys, merchants, callbackDelayMs, lossProbability, duplicateProbability, seed } = options;
  const gateway = createGatewaySimulator({
    host,
    port: options.gatewayPort ?? gatewayPortDefault,
    basePath,
    keys,
    merchants,
    callbackDelayMs,
    lossProbability,
    duplicateProbability,
    seed,
    statusCallsPerSecondMax: options.statusCallsPerSecondMax,
    onEvent: (event) => print(gatewayLine(event)),
  });
  gateway.setDelay({ ms: options.answerDelayMs ?? 0 });
  const merchant = createMerchantSimulator({
    host,
    port: options.merchantPort ?? merchantPortDefault,
    secrets: options.forwardSecrets,
    onDelivery: (delivery) => print(deliveryLine(delivery)),
  });
  try {
    const { url, controlUrl } = await gateway.listen();
    const { url: merchantUrl } = await merchant.listen();
    const key = keys?.[0] ?? simulatorKey;
    print(`gateway    ${url}   (X-Api-Key: ${key})`);
    print(`controls   ${controlUrl}   (GET it for help)`);
    print(`merchant   ${merchantUrl}   (FORWARD_URL)`);
    options.onListening?.({ gateway: url, controls: controlUrl, merchant: merchantUrl, key });
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await Promise.all([gateway.close(), merchant.close()]);
  }
}

function gatewayLine(event: GatewayEvent): string {
  const { gatewayReference, type, requestedAmount, state } = event.transaction;
  if (event.kind === 'started') {
    return `gateway    ${gatewayReference} ${type} of ${requestedAmount.value} ${requestedAmount.currency} started`;
  }
  const { outcome, said, httpStatus, error, tookMs } = event.record;
  const truth = said === state.status ? '' : ` (it is ${state.status})`;
  const answer = httpStatus ?? error;
  return `gateway    ${gatewayReference} callback ${said}${truth}: ${outcome}${answer === null ? '' : `, ${answer}`}, ${tookMs} ms`;
}

function deliveryLine({ headers, webhookId, firstTime, answered, body }: Delivery): string {
  const reference = String(headers['payalo-gateway-reference'] ?? '(no reference)');
  const repeated = firstTime ? '' : ', seen before';
  return `merchant   ${reference} ${body.length} bytes, ${webhookId ?? 'no webhook-id'}${repeated}, answered ${answered ?? 'not at all'}`;
}
