// The report of a period: the gateway's records, beside them what is stored here. Reads page by page, so that memory does not
// grow with the period. Changes nothing.
import type { ReadReport, ReportEvent } from '../store/report/read-report.ts';
import { keysOf } from '../redis/brand-queue.ts';
import { createJobReader, type JobReader } from '../store/callbacks/read-callbacks.ts';
import { createBrandScopes, type BrandScope, type ReconcileDependencies } from './brand-scope.ts';
import { oldestInjectedMs } from './sweep/classify.ts';
import { narrowWindows, windowMsDefault } from './sweep/schedule.ts';
import { terminalClaims } from './sweep/terminal-claims.ts';
import { windowPages, type Window } from './sweep/window-pages.ts';
import type { Transaction } from './gateway/transaction.ts';
import { oursOf, toReportRow, type ReportRow } from '../store/report/report-row.ts';

const pageSize = 500;

/** It stores nothing, so it needs no intake. */
export type ReportDependencies = Omit<ReconcileDependencies, 'intake'>;

const noIntake: ReconcileDependencies['intake'] = {
  accept: async () => {
    throw new TypeError('A report stores nothing.');
  },
};

export function createReport(dependencies: ReportDependencies): ReadReport {
  return async function* report({ fromMs, toMs, brand }, signal) {
    const scopes = createBrandScopes({ ...dependencies, intake: noIntake }, brand);
    const readJobs = createJobReader(dependencies.redis);
    try {
      if (scopes.length === 0) return yield { kind: 'no-gateway' };
      let denied = 0;
      for (const [at, scope] of scopes.entries()) {
        for (const window of narrowWindows({ fromMs, toMs }, windowMsDefault)) {
          for await (const event of readWindow(scope, readJobs, window, signal)) {
            yield event;
            if (event.kind === 'failed') return;
          }
          yield { kind: 'progress', share: (at + (window.toMs - fromMs) / (toMs - fromMs)) / scopes.length };
        }
        denied += await scope.redis.zcount(keysOf.denied(scope.queue), fromMs, `(${toMs}`);
      }
      yield { kind: 'denied', denied };
    } finally {
      await Promise.all(scopes.map(({ gateway }) => gateway.close()));
    }
  };
}

async function* readWindow(
  scope: BrandScope,
  readJobs: JobReader,
  window: Window,
  signal: AbortSignal,
): AsyncGenerator<ReportEvent> {
  // Rows of a part are held until it was read completely: a part that is read again must not count twice.
  let part: ReportRow[] = [];
  for await (const step of windowPages(scope.gateway, window, pageSize, signal)) {
    switch (step.kind) {
      case 'page':
        part.push(...(await rowsOf(scope, readJobs, step.page.transactions)));
        break;
      case 'restarted':
        part = [];
        break;
      case 'part':
      case 'unreadable':
        yield { kind: 'rows', rows: part };
        part = [];
        break;
      case 'failed':
        return yield { kind: 'failed', brand: scope.brand, reason: step.reason };
    }
  }
}

async function rowsOf(scope: BrandScope, readJobs: JobReader, page: readonly Transaction[]): Promise<ReportRow[]> {
  const { queue, brand, clock, limits } = scope;
  const claims = await terminalClaims(
    scope,
    page.map(({ callback }) => callback.gatewayReference),
  );
  const ids = claims.flatMap((claim) => (claim === undefined ? [] : [claim.jobId]));
  const records = new Map((await readJobs(queue, ids, { withLogs: false })).map((record) => [record.jobId, record]));
  const oldestMs = oldestInjectedMs(clock.now(), limits.dedupTtlMs);
  return page.map((transaction, at) => {
    const claim = claims[at];
    if (claim !== undefined) return toReportRow(brand, transaction, oursOf(claim, records.get(claim.jobId)));
    const isForgotten = (transaction.createdAtMs ?? 0) < oldestMs;
    return toReportRow(brand, transaction, isForgotten ? 'unknown' : 'not-received');
  });
}
