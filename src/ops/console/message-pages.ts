// Pages with just a message: an unknown reference, or a page that is not available.
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
        <h1>Nothing is stored here under this reference</h1>
        <p class="reference">${reference}</p>
      </div>
    </section>
    <section class="card">
      <p>
        No callback came with it as the gateway’s or the merchant’s reference, or its claim expired after
        <code>DEDUP_TTL</code>. Is the reference complete? Then ask the gateway: <code>npm run cli -- reconcile</code>
        fetches missing callbacks.
      </p>
      <p>
        Personal data is not indexed: a phone number or a name finds nothing. Ask the payer for the order number (the
        merchant’s reference), or for the transaction number that the payment page showed (the gateway’s reference).
      </p>
    </section>`;
}
