// The reverse direction of `verify`: callbacks of a period that the gateway does not know. Walks our own index, and asks for
// the status of whatever the gateway's lists did not name.
import { stateOf } from '../store/callbacks/callback-view.ts';
import type { JobReader, JobRecord } from '../store/callbacks/read-callbacks.ts';
import { receivedBetween } from '../store/callbacks/received-between.ts';
import type { JobData } from '../callback/job.ts';
import type { BrandScope } from './brand-scope.ts';
import { describeFailure } from './gateway/gateway-client.ts';
import { said, type VerifyEvent } from './verify-event.ts';
import type { Window } from './sweep/window-pages.ts';

/** `listed`: the gateway's references of this window and the one before, since a callback comes after its transaction. */
export async function* verifyReceived(
  scope: BrandScope,
  readJobs: JobReader,
  window: Window,
  { listed, signal }: { listed: readonly ReadonlySet<string>[]; signal: AbortSignal },
): AsyncGenerator<VerifyEvent> {
  const { brand } = scope;
  const asked = new Set<string>();
  for await (const record of receivedIn(scope, readJobs, window)) {
    const { data } = record;
    // Results that reconciliation found come from the gateway itself.
    if (data === undefined || data.source !== 'callback') continue;
    const { gatewayReference } = data;
    if (asked.has(gatewayReference) || listed.some((references) => references.has(gatewayReference))) continue;
    asked.add(gatewayReference);
    const answer = await scope.gateway.status(gatewayReference, 'commands', signal);
    if (answer.kind === 'unavailable' || answer.kind === 'unauthorized')
      return yield { kind: 'failed', brand, reason: describeFailure(answer) };
    if (answer.kind !== 'found') yield { kind: 'difference', difference: unknownThere(brand, data, record) };
  }
}

function unknownThere(
  brand: string,
  { gatewayReference, merchantReference, status, finalAmount }: JobData,
  record: JobRecord,
) {
  const here = `${said(status, finalAmount?.replace(' ', '') ?? '')}, ${stateOf(record)}`;
  const found = { kind: 'unknown-at-gateway', atGateway: 'unknown', here } as const;
  return { brand, gatewayReference, merchantReference, ...found };
}

async function* receivedIn(
  { redis, queue }: BrandScope,
  readJobs: JobReader,
  { fromMs, toMs }: Window,
): AsyncGenerator<JobRecord> {
  for await (const ids of receivedBetween(redis, queue, fromMs, toMs))
    yield* await readJobs(queue, ids, { withLogs: false });
}
