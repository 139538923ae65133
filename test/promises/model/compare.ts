// Compares the product's view of every callback with the model.
import assert from 'node:assert/strict';
import { mayBeForgotten, type Claim, type Expected } from './expected.ts';
import { bodyOf, times, type Real } from './real.ts';

export async function compare(expected: Expected, real: Real): Promise<void> {
  assert.equal(real.spool.stats().entries, expected.spool.length, 'entries in the spool');
  for (const { reference } of expected.spool) {
    assert.notEqual((await real.spool.find('default', reference)).length, 0, `${reference} is spooled and not found`);
  }
  for (const claim of expected.claims.values()) await compareClaim(claim, real);
}

async function compareClaim({ reference, jobs, conflicts, duplicates }: Claim, real: Real): Promise<void> {
  const [standing] = jobs;
  const view = await viewOf(reference, standing?.result.status, real);
  assert.ok(standing !== undefined && view !== undefined, `${reference} is known and not found`);
  const { state, sequence, result, confirmed, isErased, isRetired } = standing;
  assert.deepEqual(
    {
      state: view.state,
      sequence: view.sequence,
      status: view.status,
      body: view.body,
      duplicates: view.duplicates,
      confirmed: view.confirmed,
    },
    {
      state,
      sequence,
      status: result.status,
      body: isErased || isRetired ? null : bodyOf(reference, result),
      duplicates,
      confirmed: isRetired ? view.confirmed : confirmed,
    },
    reference,
  );
  const kept = new Set(view.conflicts.map(({ status, amount }) => `${status}|${(amount ?? '').replace('KES', '')}`));
  for (const text of conflicts) assert.ok(kept.has(text), `${reference}: the conflict ${text} is not kept`);
}

/** Success and failure share one claim; every other status has a claim of its own. */
async function viewOf(reference: string, status: string | undefined, real: Real) {
  const finding = await real.index.find(reference);
  if (finding === undefined) return undefined;
  const views = [finding.callback, ...finding.others];
  const isEnd = (text: string | null | undefined) => text === 'success' || text === 'failed';
  return views.find((view) => (isEnd(status) ? isEnd(view.status) : view.status === status));
}

/** Once a claim may expire, the model drops it as soon as the product does. */
export async function forget({ claims }: Expected, real: Real): Promise<void> {
  for (const [key, claim] of claims) {
    if (!mayBeForgotten(claim, real.clock.now(), times.DEDUP_TTL)) continue;
    if ((await viewOf(claim.reference, claim.jobs[0]?.result.status, real)) === undefined) claims.delete(key);
    else claim.conflicts.clear(); // the claim may remain for a while, without its conflicts
  }
}
