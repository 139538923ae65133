// The first page: whether all is well, and if not, what is wrong and what to do. Then the numbers, and the last hour.
import type { CallbackRow, CallbackState } from '../../store/callbacks/callback-view.ts';
import type { Overview } from '../overview.ts';
import { rateMinutes, type Rates } from '../rates.ts';
import { callbackTable } from './callback-table.ts';
import { barChart, lineChart } from './charts.ts';
import { bytesOf, countOf, relativeTo, spanOf } from './format.ts';
import { html, type Content, type Html } from './html.ts';
import { overviewLines } from './overview-lines.ts';
import { card, confirm, postForm } from './parts.ts';
import { tiles, type Tile } from './tiles.ts';

const silentMs = 600_000;

export interface OverviewView {
  readonly overview: Overview;
  /** Undefined while Redis cannot be read. */
  readonly rates: Rates | undefined;
  readonly latest: readonly CallbackRow[];
  /** The URL for callbacks, as far as this process knows. */
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
  return html`<section class="headline card tinted row ${tone}" role="status">
      <div>
        <h1>${title}</h1>
        <p>${detail}</p>
      </div>
      ${mayChange && forwardingForm(overview)}
    </section>
    ${
      lines.length > 0 &&
      html`<ul class="card lines">
        ${lines.map((line) => html`<li>${line}</li>`)}
      </ul>`
    }
    ${isEmpty && firstSteps(callbackUrl)} ${tiles(tilesOf(view))}
    ${
      rates !== undefined &&
      html`<section class="grid charts" aria-label="The last hour">
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
      card(
        'Latest callbacks',
        html`${callbackTable(latest, nowMs)}
          <p><a href="/callbacks">All callbacks</a></p>`,
      )
    }`;
}

/** The worst condition that holds. */
export function headlineOf(overview: Overview, nowMs: number): Headline {
  const { redis, jobs, forwarding, oldestWaitingSeconds, spool } = overview;
  if (!redis.up || jobs === null) {
    return {
      tone: 'bad',
      title: 'Redis cannot be reached',
      detail: `Callbacks are still accepted: they go to the spool (${countOf(spool.entries)} there now) and follow when Redis is back.`,
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
      detail: 'An operator paused them. Callbacks are still accepted, and wait in the queue.',
    };
  }
  if (spool.entries > 0) {
    return {
      tone: 'warn',
      title: 'The spool is being emptied',
      detail: `${countOf(spool.entries)} callbacks are in the spool of this process and on their way to Redis.`,
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
      detail: 'They used up their retries and are kept. Fix the cause, then replay them from the page Failed.',
    };
  }
  return { tone: 'good', title: 'All is well', detail: 'Callbacks are accepted and delivered.' };
}

/** Callbacks that are false, or may be: a person has to look at them. */
function doubtfulOf({ denied: deniedOrNull, jobs }: Overview): Headline | undefined {
  const denied = deniedOrNull ?? 0;
  if (denied > 0) {
    return {
      tone: 'bad',
      title: denied === 1 ? 'The gateway denies a callback' : `The gateway denies ${countOf(denied)} callbacks`,
      detail:
        'They carried your API key, and were delivered before the gateway said that it does not know them. Take back what they bought, and change the key.',
    };
  }
  if (jobs !== null && jobs.held > 0) {
    return {
      tone: 'bad',
      title: jobs.held === 1 ? 'One callback is held' : `${countOf(jobs.held)} callbacks are held`,
      detail:
        'The gateway does not know them, or the paid amount is not the ordered one. Look at each, then deliver or erase it.',
    };
  }
  return undefined;
}

/** Callbacks wait or are retried, and none was delivered since the oldest of them came. */
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
    detail: 'Callbacks are accepted and kept, but none is delivered. Check what the endpoint answers.',
  };
}

function ofBrand({ forwarding }: Overview, brand: string): string {
  return (forwarding?.length ?? 0) > 1 ? ` of ${brand}` : '';
}

function forwardingForm({ forwarding }: Overview): Html | undefined {
  if (forwarding === null) return undefined;
  const held = forwarding.some(({ paused, breaker }) => paused || breaker === 'open');
  return held
    ? postForm('/forwarding/resume', 'Resume deliveries', 'primary')
    : confirm(
        'Pause deliveries',
        'Callbacks are still accepted, and wait in the queue until somebody resumes deliveries.',
        postForm('/forwarding/pause', 'Pause deliveries'),
      );
}

function tilesOf({ overview, rates, nowMs }: OverviewView): Tile[] {
  const { jobs, spool, redis, quarantineEntries, reconciliation, oldestWaitingSeconds, denied, mismatched } = overview;
  const oldest = jobs && jobs.queued > 0 ? `oldest ${spanOf((oldestWaitingSeconds ?? 0) * 1_000)}` : 'none is late';
  const last = reconciliation?.lastSuccess ?? null;
  const lasting: Tile[] = [
    { name: 'Received', ...inLastHour(rates?.counts.received), href: '/callbacks' },
    { name: 'Delivered', ...inLastHour(rates?.counts.delivered), href: inState('delivered') },
    { name: 'Waiting', value: jobs && countOf(jobs.queued + jobs.delivering), note: oldest, href: inState('queued') },
    { name: 'To be retried', ...counted(jobs?.retrying, 'warn'), note: 'by schedule', href: inState('retrying') },
  ];
  /** Shown only if there are any. */
  const rare: Tile[] = [
    { name: 'Removed', ...counted(jobs?.removed, 'bad'), note: 'not delivered', href: inState('removed') },
    { name: 'Held', ...counted(jobs?.held, 'bad'), note: 'delivered only by you', href: inState('held') },
    { name: 'Denied', ...counted(denied, 'bad'), note: 'within a day', href: '/callbacks?confirmed=denied' },
    {
      name: 'Amount differs',
      ...counted(mismatched, 'warn'),
      note: 'from the order, within a day',
      href: '/callbacks?amountCheck=mismatch',
    },
  ];
  return [
    ...lasting,
    ...rare.filter(({ tone }) => tone !== ''),
    { name: 'Failed', ...counted(jobs?.failed, 'bad'), note: 'kept for you', href: inState('failed') },
    { name: 'Quarantine', ...counted(quarantineEntries, 'warn'), note: 'to look at', href: '/quarantine' },
    {
      name: 'Spool',
      ...counted(spool.entries, 'warn'),
      note: shareOf(spool.bytes, spool.bytesMax),
      href: inState('spooled'),
    },
    {
      name: 'Redis',
      value: redis.up ? 'up' : 'away',
      note: redis.usedBytes === null ? 'not reached' : shareOf(redis.usedBytes, redis.maxBytes),
      tone: redis.up ? '' : 'bad',
    },
    {
      name: 'Last sweep',
      value: last === null ? 'none' : relativeTo(last, nowMs),
      note: pendingNote(overview),
      href: '/reconciliation',
      tone: reconciliation?.pendingTooLong ? 'warn' : '',
    },
  ];
}

function inState(state: CallbackState): string {
  return `/callbacks?state=${state}`;
}

function inLastHour(counts: readonly number[] | undefined) {
  return { value: counts && countOf(sumOf(counts)), note: `in ${rateMinutes} min` };
}

/** A count that deserves a look once it is not 0. */
function counted(count: number | null | undefined, tone: 'warn' | 'bad'): Pick<Tile, 'value' | 'tone'> {
  return { value: typeof count === 'number' ? countOf(count) : null, tone: count ? tone : '' };
}

/** @param bytesMax 0 or null if there is no limit */
function shareOf(bytes: number, bytesMax: number | null): string {
  return bytesMax ? `${bytesOf(bytes)} of ${bytesOf(bytesMax)}` : bytesOf(bytes);
}

function pendingNote({ reconciliation }: Overview): string {
  if (reconciliation === null) return 'not known';
  const { pendingTooLong, openExpectations } = reconciliation;
  return pendingTooLong > 0 ? `${pendingTooLong} pending too long` : `${openExpectations} expected`;
}

function firstSteps(callbackUrl: string): Html {
  const steps = html`<ol>
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
  </ol>`;
  return card('No callback has come yet', steps);
}

function added(one: readonly number[], other: readonly number[]): number[] {
  return one.map((value, at) => value + (other[at] ?? 0));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
