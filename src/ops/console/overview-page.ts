// The first page: is all well, and if not, what is wrong and what to do. Then the numbers, and the last hour.
import type { CallbackRow } from '../../store/callbacks/callback-view.ts';
import type { Overview } from '../overview.ts';
import { rateMinutes, type Rates } from '../rates.ts';
import { callbackTable } from './callback-table.ts';
import { barChart, lineChart } from './charts.ts';
import { bytesOf, countOf, relativeTo, spanOf } from './format.ts';
import { html, type Content, type Html } from './html.ts';
import { confirm } from './layout.ts';
import { overviewLines } from './overview-lines.ts';

const silentMs = 600_000;

export interface OverviewView {
  readonly overview: Overview;
  /** Undefined while Redis cannot be read. */
  readonly rates: Rates | undefined;
  readonly latest: readonly CallbackRow[];
  /** Where callbacks are received, as far as this process knows. */
  readonly callbackUrl: string;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

export interface Headline {
  readonly tone: 'good' | 'warn' | 'bad';
  readonly title: string;
  readonly detail: string;
}

export function overviewPage(view: OverviewView): Content {
  const { overview, rates, latest, nowMs, callbackUrl, mayChange } = view;
  const { tone, title, detail } = headlineOf(overview, nowMs);
  const received = rates && sumOf(rates.counts.received);
  const lines = overviewLines({ overview, received, callbackUrl, nowMs });
  const isEmpty = overview.jobs !== null && latest.length === 0;
  return html`<section class="headline ${tone}" role="status">
      <h1>${title}</h1>
      <p>${detail}</p>
      ${mayChange && forwardingForm(overview)}
    </section>
    ${
      lines.length > 0 &&
      html`<ul class="card lines">
        ${lines.map((line) => html`<li>${line}</li>`)}
      </ul>`
    }
    ${isEmpty ? firstSteps(callbackUrl) : ''} ${tiles(view)}
    ${
      rates !== undefined &&
      html`<section class="charts" aria-label="The last hour">
        ${barChart('Callbacks per minute', [
          { className: 'received', name: 'received', values: rates.counts.received },
          { className: 'delivered', name: 'delivered', values: rates.counts.delivered },
          { className: 'failed', name: 'failed attempts', values: added(rates.counts.retried, rates.counts.failed) },
        ])}
        ${lineChart('Waiting', { className: 'waiting', name: 'waiting or to be retried', values: rates.waiting })}
      </section>`
    }
    ${
      latest.length > 0 &&
      html`<section class="card">
        <h2>Latest callbacks</h2>
        ${callbackTable(latest, nowMs)}
        <p><a href="/callbacks">All callbacks</a></p>
      </section>`
    }`;
}

/** The worst that is the case. */
export function headlineOf(overview: Overview, nowMs: number): Headline {
  const { redis, jobs, forwarding, oldestWaitingSeconds, spool } = overview;
  if (!redis.up || jobs === null) {
    return {
      tone: 'bad',
      title: 'Redis cannot be reached',
      detail: `Callbacks are still taken: they go to the spool (${countOf(spool.entries)} there now) and follow when Redis is back.`,
    };
  }
  const doubtful = doubtfulOf(overview);
  if (doubtful !== undefined) return doubtful;
  const open = forwarding?.find(({ breaker }) => breaker === 'open');
  if (open !== undefined) {
    const since = open.openSince === null ? '' : ` since ${relativeTo(open.openSince, nowMs)}`;
    return {
      tone: 'bad',
      title: `The merchant’s endpoint${ofBrand(overview, open.brand)} does not answer`,
      detail: `Deliveries are held back${since}; one at a time tries whether it is back. Nothing is lost, and no attempt is spent.`,
    };
  }
  const paused = forwarding?.find((one) => one.paused);
  if (paused !== undefined) {
    return {
      tone: 'warn',
      title: `Deliveries${ofBrand(overview, paused.brand)} are paused`,
      detail: 'An operator paused them. Callbacks are still taken and wait in the queue.',
    };
  }
  if (spool.entries > 0) {
    return {
      tone: 'warn',
      title: 'The spool is being emptied',
      detail: `${countOf(spool.entries)} callbacks lie in the spool of this process and are on their way into Redis.`,
    };
  }
  if ((oldestWaitingSeconds ?? 0) > 600) {
    return {
      tone: 'warn',
      title: 'A backlog has built up',
      detail: `The oldest callback has waited ${spanOf((oldestWaitingSeconds ?? 0) * 1_000)}. Is a worker running, and is it fast enough?`,
    };
  }
  const silent = silentSince(overview, nowMs);
  if (silent !== undefined) return silent;
  if (jobs.failed > 0) {
    return {
      tone: 'warn',
      title:
        jobs.failed === 1
          ? 'One callback could not be delivered'
          : `${countOf(jobs.failed)} callbacks could not be delivered`,
      detail: 'They used up their retries and are kept. Look why, mend it, then replay them from the page Failed.',
    };
  }
  return { tone: 'good', title: 'All is well', detail: 'Callbacks are taken and delivered.' };
}

/** What is not true, or may not be: somebody has to look at it. */
function doubtfulOf({ denied: deniedOrNull, jobs }: Overview): Headline | undefined {
  const denied = deniedOrNull ?? 0;
  if (denied > 0) {
    return {
      tone: 'bad',
      title: denied === 1 ? 'The gateway denies a callback' : `The gateway denies ${countOf(denied)} callbacks`,
      detail:
        'They carried your API key and were let out before the gateway was asked, which does not know them. Take back what they bought, and change the key.',
    };
  }
  if (jobs !== null && jobs.held > 0) {
    return {
      tone: 'bad',
      title: jobs.held === 1 ? 'One callback is held' : `${countOf(jobs.held)} callbacks are held`,
      detail:
        'The gateway does not know them, or they were paid otherwise than ordered. Look at each, then deliver or erase it.',
    };
  }
  return undefined;
}

/** Callbacks wait or are retried, and none was delivered since before the oldest of them came. */
function silentSince({ forwarding }: Overview, nowMs: number): Headline | undefined {
  const silent = forwarding?.find(
    ({ oldestUndelivered, lastDelivered }) =>
      oldestUndelivered !== null &&
      nowMs - Date.parse(oldestUndelivered) > silentMs &&
      (lastDelivered === null || lastDelivered < oldestUndelivered),
  );
  if (silent === undefined) return undefined;
  const name = forwarding?.length === 1 ? 'the merchant' : silent.brand;
  return {
    tone: 'bad',
    title: `Nothing arrives at ${name}`,
    detail: 'Callbacks are taken and kept, and none of them is delivered. Look at what the endpoint answers.',
  };
}

function ofBrand({ forwarding }: Overview, brand: string): string {
  return (forwarding?.length ?? 0) > 1 ? ` of ${brand}` : '';
}

function forwardingForm({ forwarding }: Overview): Html | undefined {
  if (forwarding === null) return undefined;
  const held = forwarding.some(({ paused, breaker }) => paused || breaker === 'open');
  return held
    ? html`<form method="post" action="/forwarding/resume"><button class="primary">Resume deliveries</button></form>`
    : confirm(
        'Pause deliveries',
        'Callbacks are still taken, and wait in the queue until somebody resumes.',
        html`<form method="post" action="/forwarding/pause"><button>Pause deliveries</button></form>`,
      );
}

function tiles({ overview, rates, nowMs }: OverviewView): Html {
  const { jobs, spool, redis, quarantineEntries, reconciliation, oldestWaitingSeconds } = overview;
  const last = reconciliation?.lastSuccess ?? null;
  return html`<section class="tiles" aria-label="Now">
    ${tile('Received', rates && countOf(sumOf(rates.counts.received)), `in ${rateMinutes} min`, '/callbacks')}
    ${tile('Delivered', rates && countOf(sumOf(rates.counts.delivered)), `in ${rateMinutes} min`, '/callbacks?state=delivered')}
    ${tile(
      'Waiting',
      jobs && countOf(jobs.queued + jobs.delivering),
      jobs && jobs.queued > 0 ? `oldest ${spanOf((oldestWaitingSeconds ?? 0) * 1_000)}` : 'none is late',
      '/callbacks?state=queued',
    )}
    ${tile('To be retried', jobs && countOf(jobs.retrying), 'by schedule', '/callbacks?state=retrying', jobs && jobs.retrying > 0 ? 'warn' : '')}
    ${jobs !== null && jobs.removed > 0 && tile('Removed', countOf(jobs.removed), 'not delivered', '/callbacks?state=removed', 'bad')}
    ${jobs !== null && jobs.held > 0 && tile('Held', countOf(jobs.held), 'delivered on your word', '/callbacks?state=held', 'bad')}
    ${(overview.denied ?? 0) > 0 && tile('Denied', countOf(overview.denied ?? 0), 'within a day', '/callbacks?confirmed=denied', 'bad')}
    ${(overview.mismatched ?? 0) > 0 && tile('Paid otherwise', countOf(overview.mismatched ?? 0), 'than ordered, within a day', '/callbacks?amountCheck=mismatch', 'warn')}
    ${tile('Failed', jobs && countOf(jobs.failed), 'kept for you', '/callbacks?state=failed', jobs && jobs.failed > 0 ? 'bad' : '')}
    ${tile('Quarantine', quarantineEntries === null ? null : countOf(quarantineEntries), 'to look at', '/quarantine', quarantineEntries ? 'warn' : '')}
    ${tile('Spool', countOf(spool.entries), `${bytesOf(spool.bytes)} of ${bytesOf(spool.bytesMax)}`, '/callbacks?state=spooled', spool.entries > 0 ? 'warn' : '')}
    ${tile(
      'Redis',
      redis.up ? 'up' : 'away',
      redis.usedBytes === null
        ? 'not reached'
        : `${bytesOf(redis.usedBytes)}${redis.maxBytes ? ` of ${bytesOf(redis.maxBytes)}` : ''}`,
      undefined,
      redis.up ? '' : 'bad',
    )}
    ${tile('Last sweep', last === null ? 'none' : relativeTo(last, nowMs), pendingNote(overview), '/reconciliation', reconciliation?.pendingTooLong ? 'warn' : '')}
  </section>`;
}

function pendingNote({ reconciliation }: Overview): string {
  if (reconciliation === null) return 'not known';
  const { pendingTooLong, openExpectations } = reconciliation;
  return pendingTooLong > 0 ? `${pendingTooLong} pending too long` : `${openExpectations} expected`;
}

function tile(name: string, value: Content, note: Content, href?: string, tone: Content = ''): Html {
  const inside = html`<span class="name">${name}</span><strong>${value ?? '–'}</strong><small>${note}</small>`;
  return href === undefined
    ? html`<div class="tile ${tone}">${inside}</div>`
    : html`<a class="tile ${tone}" href="${href}">${inside}</a>`;
}

function firstSteps(callbackUrl: string): Html {
  return html`<section class="card steps">
    <h2>No callback has come yet</h2>
    <ol>
      <li>
        <b>Make it reachable.</b> The gateway must reach <code>${callbackUrl}</code> over HTTPS from outside; a load
        balancer in front of it holds the certificate.
      </li>
      <li>
        <b>Name it as <code>resultUrl</code></b> whenever you start a transaction at the gateway.
      </li>
      <li>
        <b>Try it.</b> This sends a callback as the gateway would:
        <pre class="body" tabindex="0">npm run cli -- send --url ${callbackUrl}</pre>
      </li>
    </ol>
  </section>`;
}

function added(one: readonly number[], other: readonly number[]): number[] {
  return one.map((value, at) => value + (other[at] ?? 0));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
