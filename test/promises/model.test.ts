// Runs random sequences of events and compares the product with a model. Once with a fixed seed, so that a failure is
// caused by a change, and once with a new one. The long form: npm run test:promises -- --model --minutes 10.
import { expect, test } from 'vitest';
import { runModel } from './model/run-model.ts';

const seconds = 30;

test.each([2_026, Math.floor(Math.random() * 1_000_000)])(
  'the product agrees with the model after any sequence of events (seed %i)',
  { timeout: 120_000 },
  async (seed) => {
    const { failure, sequences } = await runModel({ seed, seconds });
    expect(failure).toBeUndefined();
    expect(sequences).toBeGreaterThan(0);
  },
);
