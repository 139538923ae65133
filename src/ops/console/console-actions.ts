// The console's forms: each runs one action and redirects to a page that shows the outcome.
import type { FastifyInstance, FastifyReply } from 'fastify';
import * as z from 'zod';
import type { Actor } from '../audit.ts';
import type { Actions } from '../actions.ts';
import type { AskerOf } from '../api/operator-server.ts';
import { callbackHref } from './callback-table.ts';
import type { NoticeName } from './notices.ts';

export interface ConsoleActionsDeps {
  readonly askerOf: AskerOf;
  readonly actions: Actions;
}

/** The size of a page. */
const selectedMax = 200;

const referenceParams = z.object({ gatewayReference: z.string() });
const idParams = z.object({ id: z.string() });
const brandQuery = z.object({ brand: z.string().optional() });
const target = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.tuple([z.string(), z.string()]));

export function serveConsoleActions(scope: FastifyInstance, { askerOf, actions }: ConsoleActionsDeps): void {
  // Parsed to lists, since a form may send a field several times.
  scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    const fields = new URLSearchParams(String(body));
    done(null, Object.fromEntries([...fields.keys()].map((name) => [name, fields.getAll(name)])));
  });

  interface Form {
    readonly params: unknown;
    readonly query: unknown;
    readonly body: unknown;
    readonly actor: Actor;
  }

  /** `act` returns where to redirect and which notice to show there. */
  function form(url: string, act: (form: Form) => Promise<readonly [to: string, notice: NoticeName]>): void {
    scope.post(url, { config: { needs: 'change' } }, async (request, reply) => {
      const actor = askerOf(request);
      const { params, query, body } = request;
      const [to, notice] = await act({ params, query, body: body ?? {}, actor });
      return goTo(reply, to, notice);
    });
  }

  form('/callbacks/:gatewayReference/replay', async ({ params, query, actor }) => {
    const { gatewayReference } = referenceParams.parse(params);
    const { brand } = brandQuery.parse(query);
    const { kind } = await actions.replay(actor, { gatewayReference, brand });
    return [callbackHref({ gatewayReference, brand: brand ?? '' }), `replay-${kind}`];
  });

  form('/callbacks/:gatewayReference/erase', async ({ params, query, actor }) => {
    const { gatewayReference } = referenceParams.parse(params);
    const { brand } = brandQuery.parse(query);
    const { kind } = await actions.erase(actor, { gatewayReference, brand });
    return [callbackHref({ gatewayReference, brand: brand ?? '' }), `erase-${kind}`];
  });

  form('/failed/replay', async ({ body, actor }) => {
    const fields = z.object({ which: z.array(z.string()), target: z.array(target).max(selectedMax).default([]) });
    const { which, target: targets } = fields.parse(body);
    const to = '/callbacks?state=failed';
    if (which.includes('all')) {
      const { count } = await actions.replayMany(actor, { state: 'failed' });
      return [to, count === 0 ? 'none-selected' : 'replaying'];
    }
    if (targets.length === 0) return [to, 'none-selected'];
    for (const [brand, gatewayReference] of targets) await actions.replay(actor, { gatewayReference, brand });
    return [to, 'replayed-selected'];
  });

  form('/quarantine/:id/release', async ({ params, body, actor }) => {
    const { id } = idParams.parse(params);
    const { gatewayReference } = z.object({ gatewayReference: z.array(z.string()).default([]) }).parse(body);
    const { kind } = await actions.release(actor, id, gatewayReference[0]?.trim() || undefined);
    return [kind === 'released' ? '/quarantine' : `/quarantine/${encodeURIComponent(id)}`, `release-${kind}`];
  });

  form('/quarantine/:id/delete', async ({ params, actor }) => {
    const { kind } = await actions.discard(actor, idParams.parse(params).id);
    return ['/quarantine', kind === 'discarded' ? 'discarded' : 'release-unknown'];
  });

  form('/quarantine/selected', async ({ body, actor }) => {
    const fields = z.object({
      verb: z.array(z.enum(['release', 'delete'])),
      id: z.array(z.string()).max(selectedMax).default([]),
    });
    const { verb, id: ids } = fields.parse(body);
    if (ids.length === 0) return ['/quarantine', 'none-selected'];
    const kinds: string[] = [];
    for (const id of ids) {
      const outcome = verb[0] === 'delete' ? actions.discard(actor, id) : actions.release(actor, id, undefined);
      kinds.push((await outcome).kind);
    }
    if (verb[0] === 'delete') return ['/quarantine', 'discarded'];
    return ['/quarantine', kinds.every((kind) => kind === 'released') ? 'release-released' : 'released-some'];
  });

  form('/forwarding/pause', async ({ actor }) => {
    await actions.pause(actor, undefined);
    return ['/', 'paused'];
  });

  form('/forwarding/resume', async ({ actor }) => {
    await actions.resume(actor, undefined);
    return ['/', 'resumed'];
  });
}

function goTo(reply: FastifyReply, to: string, notice: NoticeName) {
  return reply.redirect(`${to}${to.includes('?') ? '&' : '?'}notice=${notice}`, 303);
}
