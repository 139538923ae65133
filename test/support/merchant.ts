// The sample merchant, started for a test that asks whether anything was lost.
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { until, type UntilOptions } from './until.ts';

export type Merchant = Awaited<ReturnType<typeof startMerchant>>;

export async function startMerchant() {
  const got = new Set<unknown>();
  const simulator = createMerchantSimulator({
    onDelivery: ({ headers }) => got.add(headers['payalo-gateway-reference']),
  });
  const { url } = await simulator.up();
  return {
    ...simulator,
    url,
    hasGot: (reference: string) => got.has(encodeURIComponent(reference)),
    [Symbol.asyncDispose]: () => simulator.down(),
  };
}

/** Waits until every callback that was sent (each one acknowledged) is delivered. */
export async function untilDelivered(
  sent: readonly { readonly reference: string }[],
  merchant: Merchant,
  options: UntilOptions = {},
): Promise<void> {
  await until(() => sent.every(({ reference }) => merchant.hasGot(reference)), {
    ...options,
    describe: 'every acknowledged callback to be delivered',
  });
}
