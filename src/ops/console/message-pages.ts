// Pages that only say something: that a reference is unknown, or that a page cannot be shown.
import { html, type Content } from './html.ts';

export function messagePage(title: string, detail: string): Content {
  return html`<section class="headline card tinted row bad" role="alert">
    <div>
      <h1>${title}</h1>
      <p>${detail}</p>
    </div>
  </section>`;
}

export function unknownPage(reference: string): Content {
  return html`<section class="headline card tinted row warn">
      <div>
        <h1>Nothing is known here under this reference</h1>
        <p class="reference">${reference}</p>
      </div>
    </section>
    <section class="card">
      <p>
        No callback with it came, as the gateway’s or as the merchant’s reference, or it was forgotten after
        <code>DEDUP_TTL</code>. Is it whole? Ask the gateway, too: <code>npm run cli -- reconcile</code> hands in what
        never came.
      </p>
      <p>
        Personal data is not indexed: a phone number or a name finds nothing. Ask the payer for the order number (the
        merchant’s reference), or for the transaction number that the payment page showed (the gateway’s reference).
      </p>
    </section>`;
}
