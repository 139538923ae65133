// The console at /: pages rendered on the server with the API's own reads and actions. Nothing is loaded from elsewhere.
// Without Redis the first page still shows the state; the others say that they are not available.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Quarantine } from '../../intake/quarantine/quarantine.ts';
import type { CallbackIndex } from '../../store/callbacks/callback-index.ts';
import type { CallbackRow } from '../../store/callbacks/callback-view.ts';
import { parseTimeMs } from '../../time/parse-time.ts';
import type { Actions } from '../actions.ts';
import type { Audit } from '../audit.ts';
import { problemOf, type AskerOf } from '../api/operator-server.ts';
import type { Asker } from '../api/permissions.ts';
import type { Finding } from '../../store/callbacks/callback-index.ts';
import { maskEntry, maskFinding, maskRow } from '../masking.ts';
import type { ReadOverview } from '../overview.ts';
import type { ReadQueueState } from '../queue-state.ts';
import type { RateKeeper } from '../rates.ts';
import type { ReadReconciliation } from '../reconciliation-overview.ts';
import { activityPage } from './activity-page.ts';
import { serveAssets } from './assets.ts';
import { callbackPage } from './callback-page.ts';
import { callbackHref } from './callback-table.ts';
import { callbacksPage, filtersSchema } from './callbacks-page.ts';
import { serveConsoleActions } from './console-actions.ts';
import { layout, type Page } from './layout.ts';
import { messagePage, unknownPage } from './message-pages.ts';
import { noticeOf } from './notices.ts';
import { overviewPage } from './overview-page.ts';
import { quarantineEntryPage, quarantinePage } from './quarantine-page.ts';
import type { ReadReport } from '../../store/report/read-report.ts';
import { reportPage } from './report-page.ts';
import { readReportView } from './read-report-view.ts';
import { reconciliationPage } from './reconciliation-page.ts';

export interface ConsoleDeps {
  readonly askerOf: AskerOf;
  readonly callbackIndex: CallbackIndex;
  readonly quarantine: Pick<Quarantine, 'list' | 'get'>;
  readonly actions: Actions;
  readonly audit: Audit;
  readonly overview: ReadOverview;
  readonly queueState: ReadQueueState;
  readonly rates: Pick<RateKeeper, 'read'>;
  readonly reconciliation: ReadReconciliation;
  readonly readReport: ReadReport;
  readonly callbackUrl: string;
  readonly now?: () => number;
}

/** A page, or a redirect. */
type Answer = (Page & { readonly status?: number }) | { readonly redirect: string };

const rowsPerPage = 50;
const latestRows = 8;
const overviewEverySeconds = 3;
const pageEverySeconds = 5;
const activityEntries = 200;

const text = z.string().optional();
const referenceParams = z.object({ gatewayReference: z.string() });
export async function serveConsole(app: FastifyInstance, deps: ConsoleDeps): Promise<void> {
  const { askerOf, callbackIndex, quarantine, audit, overview, queueState, rates, reconciliation, readReport } = deps;
  const { now = Date.now } = deps;
  serveAssets(app);

  await app.register(async (scope) => {
    function page(url: string, answer: (request: FastifyRequest, asker: Asker) => Promise<Answer>): void {
      scope.get(url, { config: { needs: 'read' } }, async (request, reply) => {
        const answered = await answer(request, askerOf(request));
        return 'redirect' in answered ? reply.redirect(answered.redirect) : show(request, reply, answered);
      });
    }
    scope.setErrorHandler((error, request, reply) => {
      const { status, detail } = problemOf(error);
      const content = messagePage('This cannot be shown now', detail);
      return show(request, reply, { title: 'Not available', content, status });
    });

    page('/', async (_request, asker) => {
      const [state, lastHour, latest] = await Promise.all([
        overview(),
        rates.read().catch(() => undefined),
        callbackIndex.list({ limit: latestRows }).catch(() => ({ data: [] })),
      ]);
      const { callbackUrl } = deps;
      const { mayChange } = asker;
      const rows = latest.data.map(rowFor(asker));
      const view = { overview: state, rates: lastHour, latest: rows, callbackUrl, nowMs: now(), mayChange };
      const content = overviewPage(view);
      return { title: 'Overview', tab: 'Overview', refreshSeconds: overviewEverySeconds, content };
    });

    page('/callbacks', async (request, asker) => {
      const filters = filtersSchema.parse(request.query);
      const { from, to, ...query } = filters;
      const period = { fromMs: utcMs(from), toMs: utcMs(to) };
      const { data, next } = await callbackIndex.list({ ...query, ...period, limit: rowsPerPage });
      const title = filters.state === 'failed' ? 'Failed' : 'Callbacks';
      const rows = data.map(rowFor(asker));
      const content = callbacksPage({ filters, rows, next, nowMs: now(), mayChange: asker.mayChange });
      return { title, tab: title, content };
    });

    page('/callbacks/:gatewayReference', async (request, asker) => {
      const { gatewayReference } = referenceParams.parse(request.params);
      const { brand, job } = z.object({ brand: text, job: text }).parse(request.query);
      const findings = await callbackIndex.findAll(gatewayReference);
      const found = findings.find(({ callback }) => callback.brand === brand) ?? findings[0];
      if (found === undefined) return unknown(gatewayReference);
      const elsewhere = findings.filter((one) => one !== found).map(({ callback }) => rowFor(asker)(callback));
      const whole = asker.mayReveal ? found : maskFinding(found);
      const finding = job === undefined ? whole : focusedOn(whole, job);
      const isEarlier = finding.callback !== whole.callback;
      const content = callbackPage({ finding, isEarlier, elsewhere, nowMs: now(), asker });
      const isMoving = ['queued', 'delivering', 'retrying', 'spooled', 'removed'].includes(finding.callback.state);
      return { title: gatewayReference, tab: 'Callbacks', content, refreshSeconds: isMoving ? pageEverySeconds : 0 };
    });

    page('/search', async (request) => {
      const { q } = z.object({ q: z.string().default('') }).parse(request.query);
      const reference = q.trim();
      const [found] = reference === '' ? [] : await callbackIndex.findAll(reference);
      if (found !== undefined) return { redirect: callbackHref(found.callback) };
      const { data } = await callbackIndex.list({ limit: rowsPerPage, merchantReference: reference });
      const [row] = data;
      if (row === undefined) return unknown(reference);
      const list = `/callbacks?merchantReference=${encodeURIComponent(reference)}`;
      const { gatewayReference, brand } = row;
      const isOne = data.every((other) => other.gatewayReference === gatewayReference && other.brand === brand);
      return { redirect: isOne && gatewayReference !== null ? callbackHref({ gatewayReference, brand }) : list };
    });

    page('/quarantine', async (request, asker) => {
      const { cursor } = z.object({ cursor: text }).parse(request.query);
      const list = await quarantine.list({ limit: rowsPerPage, cursor });
      const content = quarantinePage({ ...list, nowMs: now(), mayChange: asker.mayChange });
      return { title: 'Quarantine', tab: 'Quarantine', content };
    });

    page('/quarantine/:id', async (request, asker) => {
      const { id } = z.object({ id: z.string() }).parse(request.params);
      const entry = await quarantine.get(id);
      if (entry === undefined) {
        const content = messagePage('Not in quarantine', 'It was released, deleted, or dropped because of its age.');
        return { title: 'Quarantine', tab: 'Quarantine', content, status: 404 };
      }
      const content = quarantineEntryPage(asker.mayReveal ? entry : maskEntry(entry), asker);
      return { title: entry.reason, tab: 'Quarantine', content };
    });

    page('/reconciliation', async () => {
      const content = reconciliationPage(await reconciliation(), now());
      return { title: 'Reconciliation', tab: 'Reconciliation', content, refreshSeconds: pageEverySeconds };
    });

    page('/report', async (request) => {
      const content = reportPage(await readReportView(readReport, request.query, now()));
      return { title: 'Report', tab: 'Report', content };
    });

    page('/activity', async () => {
      const content = activityPage(await audit.latest(activityEntries));
      return { title: 'Activity', tab: 'Activity', content };
    });

    serveConsoleActions(scope, deps);
  });

  async function show(
    request: FastifyRequest,
    reply: FastifyReply,
    { status = 200, ...page }: Page & { status?: number },
  ) {
    const { notice, q } = z.object({ notice: text.catch(undefined), q: text.catch(undefined) }).parse(request.query);
    const state = await queueState().catch(() => undefined);
    const badges = { Failed: state?.jobs.failed ?? 0, Quarantine: state?.quarantineEntries ?? 0 };
    void reply.code(status).type('text/html; charset=utf-8').header('cache-control', 'no-store');
    return reply.send(layout({ badges, notice: noticeOf(notice), search: q, asker: askerOf(request), ...page }));
  }
}

function unknown(reference: string): Answer {
  return { title: 'Not found', search: reference, content: unknownPage(reference), status: 404 };
}

/** The finding with the focus on that job. */
function focusedOn(finding: Finding, jobId: string): Finding {
  const all = [finding.callback, ...finding.corrected, ...finding.others];
  const callback = all.find((one) => one.jobId === jobId);
  if (callback === undefined || callback === finding.callback) return finding;
  return { callback, corrected: [], others: all.filter((one) => one !== callback) };
}

function rowFor({ mayReveal }: Asker) {
  return <Row extends CallbackRow>(row: Row): Row => (mayReveal ? row : maskRow(row));
}

/** `2026-01-31T12:00`, the value of a browser's date and time field, read as UTC. */
function utcMs(local: string | undefined): number | undefined {
  return local === undefined ? undefined : parseTimeMs(local);
}
