// Outages of the gateway's API, in the ways that a client must survive. An outage comes before the key check; callbacks
// continue. For refused connections use `down()` of the simulator.
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { problemText } from './problems.ts';

const bounds = {
  /** Ends after this many calls; if undefined, when it is set to null. */
  calls: z.int().min(1).optional(),
  /** Affects only these calls. */
  on: z.enum(['status', 'records', 'start']).optional(),
};

export const outageSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('answer'),
    status: z.int().min(400).max(599),
    retryAfterSeconds: z.int().min(0).optional(),
    ...bounds,
  }),
  z.strictObject({ kind: z.literal('hang'), ...bounds }),
  z.strictObject({ kind: z.literal('reset'), ...bounds }),
  z.strictObject({ kind: z.literal('garbage'), ...bounds }),
]);

export type Outage = z.infer<typeof outageSchema>;

export type OutageSwitch = ReturnType<typeof createOutageSwitch>;

export function createOutageSwitch() {
  let current: Outage | null = null;
  let callsLeft = Infinity;

  return {
    set(outage: Outage | null): void {
      current = outage;
      callsLeft = outage?.calls ?? Infinity;
    },
    get: (): Outage | null => current,
    /** Whether this call was hit; if so, it has been answered. */
    strikes(reply: FastifyReply, on: NonNullable<Outage['on']>): boolean {
      if (current === null || (current.on ?? on) !== on) return false;
      const outage = current;
      callsLeft -= 1;
      if (callsLeft <= 0) current = null;
      strike(outage, reply);
      return true;
    },
  };
}

export function strike(outage: Outage, reply: FastifyReply): void {
  switch (outage.kind) {
    case 'hang':
      reply.hijack();
      return;
    case 'reset':
      reply.hijack();
      reply.raw.socket?.resetAndDestroy();
      return;
    case 'garbage':
      reply.type('text/html').send('<html><body>502 Bad Gateway</body></html>');
      return;
    case 'answer': {
      if (outage.retryAfterSeconds !== undefined) reply.header('Retry-After', outage.retryAfterSeconds);
      const errorCode = outage.status === 429 ? 'too_many_requests' : 'internal_server_error';
      const detail = 'The simulator simulates an outage.';
      reply
        .status(outage.status)
        .type('application/problem+json')
        .send(problemText({ status: outage.status, errorCode, detail }));
    }
  }
}
