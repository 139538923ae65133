// The routes about the state of the service: overview, forwarding, reconciliation, audit.
import * as z from 'zod';
import { auditEntrySchema, type Audit } from '../audit.ts';
import { brandQuery } from './callback-routes.ts';
import { overviewSchema, type ReadOverview } from '../overview.ts';
import { reconciliationSchema, type ReadReconciliation } from '../reconciliation-overview.ts';
import { route, type Route } from './route.ts';

const auditQuery = z.object({ limit: z.coerce.number().int().min(1).max(1_000).default(100) });

export interface StateRoutesDeps {
  readonly overview: ReadOverview;
  readonly reconciliation: ReadReconciliation;
  readonly audit: Audit;
}

export function stateRoutes({ overview, reconciliation, audit }: StateRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/overview',
      needs: 'read',
      summary: 'The state of the service; values that cannot be read are null',
      input: z.object({}),
      answers: { 200: { description: 'The current state', schema: overviewSchema } },
      handle: async () => ({ status: 200, body: await overview() }),
    }),
    route({
      method: 'GET',
      path: '/v1/reconciliation',
      needs: 'read',
      summary: 'The last sweeps, transactions pending too long, open expectations',
      input: z.object({ query: brandQuery }),
      answers: { 200: { description: 'The recent sweeps', schema: reconciliationSchema } },
      handle: async ({ query }) => ({ status: 200, body: await reconciliation(query.brand) }),
    }),
    route({
      method: 'GET',
      path: '/v1/audit',
      needs: 'read',
      summary: 'The audit trail, latest first',
      input: z.object({ query: auditQuery }),
      answers: { 200: { description: 'The recent entries', schema: z.object({ data: z.array(auditEntrySchema) }) } },
      handle: async ({ query }) => ({ status: 200, body: { data: await audit.latest(query.limit) } }),
    }),
  ];
}
