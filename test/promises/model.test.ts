// Random sequences of what can happen, held against a model that says what must be true. Once from a fixed seed, so that
// a failure here is a change's, and once from a new one. The long form: npm run test:promises -- --model --minutes 10.
import { expect, test } from 'vitest';
import { runModel } from './model/run-model.ts';

const seconds = 30;

test.each([2_026, Math.floor(Math.random() * 1_000_000)])(
  'whatever happens, the product does as the model says (seed %i)',
  { timeout: 120_000 },
  async (seed) => {
    const { failure, sequences } = await runModel({ seed, seconds });
    expect(failure).toBeUndefined();
    expect(sequences).toBeGreaterThan(0);
  },
);
