// One callback: what came, what happened to it, and its body. Made to settle a dispute in ten seconds.
import type { Finding } from '../../store/callbacks/callback-index.ts';
import type { Attempt } from '../../store/callbacks/job-attempts.ts';
import { splitAmount, type CallbackView, type Conflict } from '../../store/callbacks/callback-view.ts';
import type { Asker } from '../api/permissions.ts';
import { callbackTable } from './callback-table.ts';
import { amountOf, exactTimeOf, relativeTo, spanOf } from './format.ts';
import { html, type Content, type Html } from './html.ts';
import { card, confirm, factList, postForm, stateBadge, withheld } from './parts.ts';
import { prettyJson } from './pretty-json.ts';
import { verdictOf } from './verdict.ts';
import { isSuccess } from '../../http/http-answer.ts';

export interface CallbackPageView {
  readonly finding: Finding;
  /** Whether it was replaced, and is shown only because its id was requested: then there are no actions. */
  readonly isEarlier?: boolean;
  /** The same reference in other brands. */
  readonly elsewhere: readonly CallbackView[];
  readonly nowMs: number;
  /** If bodies and answers are hidden from it, the finding does not contain them. */
  readonly asker: Pick<Asker, 'mayChange' | 'mayReveal'>;
}

export function callbackPage({ finding, isEarlier = false, elsewhere, nowMs, asker }: CallbackPageView): Content {
  const { callback, corrected, others } = finding;
  const verdict = verdictOf(finding);
  return html`<header>
      <div class="row">
        <h1>
          <span class="hidden">Callback</span>
          <span class="reference" data-copy>${callback.gatewayReference}</span>
        </h1>
        ${stateBadge(callback.state)}
      </div>
      <p class="verdict"><b class="${verdict.tone} toned">${verdict.title}.</b> ${verdict.detail}</p>
      <p class="muted">${sentence(callback, nowMs)}</p>
    </header>
    <div class="columns">
      <aside class="stack">
        ${card('Facts', facts(callback))} ${asker.mayChange && !isEarlier && card('Actions', actions(callback))}
      </aside>
      <div class="stack">
        ${card('What happened', timeline(callback, nowMs))}
        ${callback.conflicts.length > 0 && conflictCard(callback.conflicts, asker.mayReveal)}
        ${card('Body', asker.mayReveal ? bodyOf(callback) : withheld('The body, and the merchant’s answers,'))}
        ${related('What this correction replaced', corrected, nowMs)}
        ${related(isEarlier ? 'Others of this reference' : 'Other statuses of this reference', others, nowMs)}
        ${related('In other brands', elsewhere, nowMs)}
      </div>
    </div>`;
}

function bodyOf({ body, erased }: CallbackView): Html {
  if (body !== null) return prettyJson(body);
  return html`<p class="card muted">${erased ? 'The body was erased.' : 'The body is no longer kept.'}</p>`;
}

function sentence(callback: CallbackView, nowMs: number): string {
  const { state, attempts, deliveredAt, nextAttemptAt, failedReason, heldReason } = callback;
  const tries = attempts.length === 1 ? 'one attempt' : `${attempts.length} attempts`;
  switch (state) {
    case 'spooled':
      return 'Stored in the spool, because Redis could not take it. It follows automatically.';
    case 'queued':
      if (nextAttemptAt !== null)
        return `Stored, and waiting until the gateway has confirmed it; delivered without that ${relativeTo(nextAttemptAt, nowMs)}.`;
      return attempts.length === 0
        ? 'Stored, and waiting to be delivered.'
        : `Waiting to be delivered again, after ${tries}.`;
    case 'held':
      return `Held, and not delivered: ${heldReason ?? 'its reason is no longer known'}. Deliver it only if you know that it is true.`;
    case 'delivering':
      return 'Being delivered.';
    case 'retrying':
      return `Not delivered yet, after ${tries}. The next one is ${nextAttemptAt === null ? 'due' : relativeTo(nextAttemptAt, nowMs)}.`;
    case 'delivered':
      return deliveredAt === null
        ? 'Delivered to the shop.'
        : `Delivered to the shop ${relativeTo(deliveredAt, nowMs)}${attempts.length > 0 ? `, after ${tries}` : ''}.`;
    case 'failed':
      return `Could not be delivered, after ${tries}${failedReason === null ? '' : `: ${failedReason}`}. It is kept; replay it once the cause is fixed.`;
    case 'superseded':
      return 'Superseded: the gateway corrected this result before it was delivered, so the correction goes to the shop instead.';
    case 'removed':
      return 'Not delivered: another program removed its job from the queue. The next sweep fetches it from the gateway and delivers it under the same webhook-id.';
  }
}

function timeline(callback: CallbackView, nowMs: number): Html {
  const { receivedAt, source, duplicates, attempts, nextAttemptAt } = callback;
  return html`<ol class="timeline">
    <li class="good">
      ${exactTimeOf(receivedAt)} <small>${relativeTo(receivedAt, nowMs)}</small>
      <div>${sourceTexts[source ?? 'unknown']}</div>
    </li>
    ${
      duplicates > 0 &&
      html`<li>
        <div>
          ${duplicates === 1 ? 'Received once more' : `Received ${duplicates} times more`}, and recognised as a
          duplicate.
        </div>
      </li>`
    }
    ${attempts.map((attempt, at) => attemptItem(attempt, at + 1))}
    ${
      nextAttemptAt !== null &&
      html`<li class="next">
        ${exactTimeOf(nextAttemptAt)} <small>${relativeTo(nextAttemptAt, nowMs)}</small>
        <div>Next attempt</div>
      </li>`
    }
  </ol>`;
}

const sourceTexts = {
  callback: 'Received from the gateway',
  status: 'The callback never came: looked up at the gateway',
  records: 'The callback never came: found in the gateway’s records',
  correction: 'Correction: the gateway’s truth differs from what was delivered before',
  unknown: 'Received',
} as const;

function attemptItem({ at, status, error, ms, answer, attempt }: Attempt, position: number): Html {
  const isGood = error === undefined && (status === undefined || isSuccess(status));
  return html`<li class="${isGood ? 'good' : 'bad'}">
    ${exactTimeOf(at)} ${ms !== undefined && html`<small>took ${spanOf(ms)}</small>`}
    <div>
      Attempt ${attempt ?? position}: ${isGood ? html`<b>delivered</b>` : html`<b>${error ?? `answered ${status}`}</b>`}
      ${isGood && status !== undefined && html` (${status})`}
    </div>
    ${
      answer !== undefined &&
      answer !== '' &&
      html`<details>
        <summary>What the merchant answered</summary>
        <pre class="body" tabindex="0">${answer}</pre>
      </details>`
    }
  </li>`;
}

function conflictCard(conflicts: readonly Conflict[], mayReveal: boolean): Html {
  const content = html`<p>
      The gateway sent the same reference again with another status or amount. The first one stands.
    </p>
    ${conflicts.map(
      ({ quarantineId, status, amount, receivedAt, body }) =>
        html`<details>
          <summary>
            ${status ?? 'no status'} ${amountOf(amount === null ? null : splitAmount(amount))}
            ${receivedAt !== null && html`– ${exactTimeOf(receivedAt)}`}
          </summary>
          ${mayReveal ? conflictBody(body) : withheld('Its body')}
          <p>
            <a href="/quarantine/${encodeURIComponent(quarantineId)}">In quarantine</a>: release it as a correction.
          </p>
        </details>`,
    )}`;
  return card('Contradicted', content, 'warn');
}

function conflictBody(body: string | null): Html {
  return body === null ? html`<p class="card muted">Its body is no longer kept.</p>` : prettyJson(body);
}

function related(title: string, views: readonly CallbackView[], nowMs: number): Html | undefined {
  return views.length === 0 ? undefined : card(title, callbackTable(views, nowMs, { byJob: true }));
}

function facts(callback: CallbackView): Html {
  const { merchantReference, sequence, requestId, deliveredAt } = callback;
  return factList([
    ['Amount', amountOf(callback.amount)],
    ['Status', callback.status],
    ['Confirmed by the gateway', callback.confirmed],
    ['Amount against order', callback.amountCheck],
    ['Received', exactTimeOf(callback.receivedAt)],
    ['Delivered', deliveredAt !== null && exactTimeOf(deliveredAt)],
    ['Type', callback.type],
    [
      'Merchant’s reference',
      merchantReference !== null &&
        html`<a class="reference" href="/callbacks?merchantReference=${encodeURIComponent(merchantReference)}"
          >${merchantReference}</a
        >`,
    ],
    ['Brand', callback.brand],
    ['Sequence', sequence > 0 && sequence],
    ['webhook-id', html`<span class="reference" data-copy>${callback.webhookId}</span>`],
    ['Request', requestId !== null && html`<span class="reference">${requestId}</span>`],
  ]);
}

function actions({ gatewayReference, brand, state, body }: CallbackView): Html {
  const action = (verb: string) =>
    `/callbacks/${encodeURIComponent(gatewayReference)}/${verb}?brand=${encodeURIComponent(brand)}`;
  const settled = state === 'delivered' || state === 'failed';
  if (state === 'removed') return html`<p>Reconciliation fetches it from the gateway; there is nothing to do here.</p>`;
  if (state === 'superseded') return html`<p>A correction replaced it; there is nothing to do here.</p>`;
  if (body === null) return html`<p>Its body is gone, so there is nothing left to do.</p>`;
  return html`${
    state === 'held' &&
    confirm(
      'Deliver it',
      'The merchant gets it although it is held. The audit trail records that under your name.',
      postForm(action('replay'), 'Deliver it', 'bad primary'),
      'bad',
    )
  }
  ${
    (settled || state === 'retrying') &&
    confirm(
      state === 'retrying' ? 'Try again now' : 'Replay',
      'The merchant gets it again, under the same webhook-id, with the whole schedule of retries.',
      postForm(action('replay'), 'Deliver again', 'primary'),
    )
  }
  ${
    (settled || state === 'held') &&
    confirm(
      'Erase personal data',
      'Body and answers are deleted for good, and it can no longer be replayed. Reference, status and times stay.',
      postForm(action('erase'), 'Erase for good', 'bad primary'),
      'bad',
    )
  }
  ${!settled && state !== 'retrying' && state !== 'held' && html`<p>It is on its way; there is nothing to do.</p>`}`;
}
