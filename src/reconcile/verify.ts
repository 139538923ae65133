// `verify --from --to`: proof for an auditor. Compares the transactions of a period that are terminal at the gateway with
// what was received and delivered here. Changes nothing.
//
// Exact for as long as claims are kept (DEDUP_TTL); an older period is refused rather than answered wrongly.
import { isTerminal } from '../callback/identity.ts';
import type { Claim } from '../store/accept/claims.ts';
import { createJobReader, type JobReader, type JobRecord } from '../store/callbacks/read-callbacks.ts';
import { stateOf } from '../store/callbacks/callback-view.ts';
import { createBrandScopes, type BrandScope, type ReconcileDependencies } from './brand-scope.ts';
import { oldestInjectedMs } from './sweep/classify.ts';
import { classifyPage, type Classified } from './sweep/classify-page.ts';
import { narrowWindows, windowMsDefault } from './sweep/schedule.ts';
import { isoWindow } from './sweep/sweep-window.ts';
import { pageSizeDefault, windowPages, type Window } from './sweep/window-pages.ts';
import { said, type Difference, type VerifyEvent } from './verify-event.ts';
import { verifyReceived } from './verify-received.ts';

/** The time from which on every claim still exists. */
export function claimsSinceMs({ config, clock }: ReconcileDependencies): number {
  return oldestInjectedMs(clock?.now() ?? Date.now(), config.DEDUP_TTL);
}

export interface VerifyOptions extends Window {
  readonly brand?: string | undefined;
}

export async function* verify(
  dependencies: ReconcileDependencies,
  { fromMs, toMs, brand }: VerifyOptions,
  signal: AbortSignal,
): AsyncGenerator<VerifyEvent> {
  const scopes = createBrandScopes(dependencies, brand);
  const readJobs = createJobReader(dependencies.redis);
  try {
    for (const scope of scopes) {
      // The window before the first is read only for its references.
      let before = await referencesIn(scope, { fromMs: fromMs - windowMsDefault, toMs: fromMs }, signal);
      for (const window of narrowWindows({ fromMs, toMs }, windowMsDefault)) {
        const listed = new Set<string>();
        yield* verifyWindow(scope, readJobs, window, signal, listed);
        yield* verifyReceived(scope, readJobs, window, { listed: [before, listed], signal });
        before = listed;
      }
    }
  } finally {
    await Promise.all(scopes.map(({ gateway }) => gateway.close()));
  }
}

async function referencesIn(scope: BrandScope, window: Window, signal: AbortSignal): Promise<Set<string>> {
  const references = new Set<string>();
  for await (const step of windowPages(scope.gateway, window, pageSizeDefault, signal))
    if (step.kind === 'page')
      for (const { callback } of step.page.transactions) references.add(callback.gatewayReference);
  return references; // unreadable ones are asked about one by one
}

export async function* verifyWindow(
  scope: BrandScope,
  readJobs: JobReader,
  window: Window,
  signal: AbortSignal,
  /** Collects the references of the transactions. */
  listed = new Set<string>(),
): AsyncGenerator<VerifyEvent> {
  let terminal = 0;
  let terminalOfPart = 0;
  const reported = new Set<string>();
  for await (const step of windowPages(scope.gateway, window, pageSizeDefault, signal)) {
    if (step.kind === 'failed') {
      yield { kind: 'failed', brand: scope.brand, reason: step.reason };
      return;
    }
    if (step.kind !== 'page') {
      terminal += step.kind === 'restarted' ? 0 : terminalOfPart;
      terminalOfPart = 0;
      if (step.kind === 'unreadable') yield unreadable(scope.brand, 'page', isoWindow(step.window).from);
      continue;
    }
    for (const { reason, gatewayReference } of step.page.unreadable) {
      const reference = gatewayReference ?? `created after ${isoWindow(window).from}`;
      if (gatewayReference !== undefined && reported.has(gatewayReference)) continue;
      reported.add(reference);
      yield unreadable(scope.brand, reason, reference);
    }
    for (const { callback } of step.page.transactions) listed.add(callback.gatewayReference);
    const classified = (await classifyPage(scope, step.page.transactions)).filter(
      ({ transaction, reversal }) => isTerminal(transaction.callback.status) || reversal !== undefined,
    );
    terminalOfPart += classified.length;
    const received = classified.map(claimHere).flatMap((claim) => (claim === undefined ? [] : [claim.jobId]));
    const records = await readJobs(scope.queue, received, { withLogs: false });
    const byJobId = new Map(records.map((record) => [record.jobId, record]));
    for (const one of classified) {
      const difference = compare(scope.brand, one, byJobId.get(claimHere(one)?.jobId ?? ''));
      if (difference === undefined || reported.has(difference.gatewayReference)) continue;
      reported.add(difference.gatewayReference);
      yield { kind: 'difference', difference };
    }
  }
  yield { kind: 'compared', brand: scope.brand, window, terminal };
}

function unreadable(brand: string, reason: string, gatewayReference: string): VerifyEvent {
  const atGateway = `unreadable (${reason})`;
  const difference = {
    brand,
    gatewayReference,
    merchantReference: null,
    kind: 'unreadable',
    atGateway,
    here: '',
  } as const;
  return { kind: 'difference', difference };
}

/** The claim for the gateway's present result; for an unreported reversal, the success. */
function claimHere({ claim, reversal }: Classified): Claim | undefined {
  return reversal?.claim ?? claim;
}

function compare(brand: string, classified: Classified, record: JobRecord | undefined): Difference | undefined {
  const { transaction, classification, reversal } = classified;
  const { gatewayReference, merchantReference, status, finalAmount } = transaction.callback;
  const claim = claimHere(classified);
  const isUnnotified = reversal !== undefined && reversal.claim === undefined;
  const atGateway = said(status, finalAmount === null ? '' : finalAmount.value + finalAmount.currency);
  const found = { brand, gatewayReference, merchantReference, atGateway };
  if (claim === undefined) return { ...found, kind: 'not-received', here: '' };
  const state = record === undefined ? 'unknown' : stateOf(record);
  const here = `${said(claim.status, claim.amount)}, ${state}`;
  if (classification === 'differs' || isUnnotified) return { ...found, kind: 'contradicts', here };
  return state === 'delivered' ? undefined : { ...found, kind: 'not-delivered', here };
}
