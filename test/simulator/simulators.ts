// What the simulator's tests share: a gateway and a merchant on free ports that end with the test, and the call that
// starts a transaction, written as text so that amounts keep their decimals.
import { onTestFinished } from 'vitest';
import { createGatewaySimulator, simulatorKey, type GatewaySimulatorOptions } from '../../simulator/gateway.ts';
import { createMerchantSimulator, type MerchantSimulatorOptions } from '../../simulator/merchant.ts';

export async function startGateway(options: GatewaySimulatorOptions = {}) {
  const gateway = createGatewaySimulator({ callbackDelayMs: 5, ...options });
  onTestFinished(() => gateway.close());
  return { gateway, ...(await gateway.listen()) };
}

export async function startMerchant(options: MerchantSimulatorOptions = {}) {
  const merchant = createMerchantSimulator(options);
  onTestFinished(() => merchant.close());
  return { merchant, ...(await merchant.listen()) };
}

/** The body of a call that starts a transaction. `amount` is written as it is given. */
export function startBody({
  amount = '100.00',
  ...fields
}: { amount?: string } & Readonly<Record<string, unknown>> = {}) {
  const request = {
    amount: { value: 'THE AMOUNT', currency: 'KES' },
    payer: { id: 'payer-1', msisdn: '+254711111111' },
    country: 'KE',
    resultUrl: 'http://127.0.0.1:9/nobody',
    merchantReference: 'quickstart-001',
    ...fields,
  };
  return JSON.stringify(request).replace('"THE AMOUNT"', amount);
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed text; an empty object if it is not an object. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** One call to the gateway, with the simulator's key unless told otherwise. */
export async function call(
  url: string,
  { key = simulatorKey, method = 'GET', body }: { key?: string; method?: string; body?: string } = {},
): Promise<Answer> {
  const response = await fetch(url, { method, headers: { 'X-Api-Key': key }, ...(body === undefined ? {} : { body }) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parseObject(text) };
}

export async function startPayin(url: string, fields: Parameters<typeof startBody>[0] = {}): Promise<Answer> {
  return call(`${url}/direct/payin/mpesa-ke`, { method: 'POST', body: startBody(fields) });
}

/** Starts a transaction that is accepted, and returns its reference. */
export async function referenceOfPayin(url: string, fields: Parameters<typeof startBody>[0] = {}): Promise<string> {
  const { json } = await startPayin(url, fields);
  return String(json['gatewayReference']);
}

export function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
