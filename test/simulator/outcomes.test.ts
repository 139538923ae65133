import { describe, expect, it } from 'vitest';
import { chooseOutcome, failureMessages, msisdnOf, outcomes, outcomesHelp } from '../../simulator/outcomes.ts';
import { call, parseObject, referenceOfPayin, startGateway, startMerchant } from './simulators.ts';

const failureCodes = Object.keys(failureMessages);

/** By name: what the callbacks say, in order, and what the status endpoint says in the end. */
const expected: Readonly<Record<string, { said: readonly string[]; truth: string | number }>> = {
  success: { said: ['success'], truth: 'success' },
  ...Object.fromEntries(failureCodes.map((code) => [code, { said: ['failed'], truth: 'failed' }])),
  never_completes: { said: [], truth: 'pending' },
  callback_lost: { said: [], truth: 'success' },
  callback_twice: { said: ['success', 'success'], truth: 'success' },
  callback_before_answer: { said: ['success'], truth: 'success' },
  callback_late: { said: ['success'], truth: 'success' },
  pending_callback: { said: ['pending', 'success'], truth: 'success' },
  contradiction_true: { said: ['success', 'failed'], truth: 'failed' },
  contradiction_false: { said: ['success', 'failed'], truth: 'success' },
  corrected_silently: { said: ['success'], truth: 'failed' },
  amount_corrected: { said: ['success', 'success'], truth: 'success' },
  partial_payment: { said: ['success'], truth: 'success' },
  reversed: { said: ['success', 'reversed'], truth: 'reversed' },
  unknown_status: { said: ['in_review', 'success'], truth: 'success' },
  reversed_silently: { said: ['success'], truth: 'reversed' },
  denied: { said: ['success'], truth: 404 },
};

async function play(fields: Readonly<Record<string, unknown>>) {
  const { gateway, url } = await startGateway();
  const { merchant, url: resultUrl } = await startMerchant();
  const reference = await referenceOfPayin(url, { resultUrl, ...fields });
  const onAnswer = merchant.deliveries().length;
  await gateway.idle();
  const bodies = merchant.deliveries().map(({ body }) => body.toString());
  const status = await call(`${url}/status/${reference}`);
  return { gateway, reference, onAnswer, bodies, status, said: bodies.map((body) => parseObject(body)['status']) };
}

describe('scripted outcomes', () => {
  it('has an expectation for each, so that none is added untested', () => {
    expect(outcomes.map(({ name }) => name)).toEqual(Object.keys(expected));
  });

  it.each(outcomes.map(({ name, code }) => [name, code === null ? '100.00' : `${code}.00`]))(
    '%s is chosen by the amount %s',
    async (name, amount) => {
      const { said, status } = await play({ amount });
      expect({ said, truth: status.json['status'] }).toEqual(expected[name]);
    },
  );

  it.each(outcomes.flatMap(({ name, code }) => (code === null ? [] : [[name, msisdnOf(code)]])))(
    '%s is chosen by the phone number %s',
    async (name, msisdn) => {
      const { said, status } = await play({ payer: { id: 'payer-1', msisdn } });
      expect({ said, truth: status.json['status'] }).toEqual(expected[name]);
    },
  );

  it.each(failureCodes)('says %s in the callback and in the status, without a final amount', async (errorCode) => {
    const code = 7001 + failureCodes.indexOf(errorCode);
    const { bodies, status } = await play({ amount: `${code}` });
    expect(bodies).toEqual([status.text]);
    expect(status.json).toMatchObject({ status: 'failed', errorCode, finalAmount: null });
    expect(status.json['errorMessage']).toBe(failureMessages[errorCode]);
    expect(status.json['providerData']).toMatchObject({
      errorCode: expect.any(String),
      errorMessage: expect.any(String),
    });
  });

  it('delivers the callback before the answer, where that is the script', async () => {
    expect((await play({ amount: '7104' })).onAnswer).toBe(1);
    expect((await play({ amount: '7104.00' })).status.json['status']).toBe('success');
  });

  it('keeps a lost callback as lost, and attempts none for what never completes', async () => {
    const lost = await play({ amount: '7102' });
    expect(lost.gateway.transaction(lost.reference)?.callbacks).toMatchObject([{ outcome: 'lost', said: 'success' }]);
    const never = await play({ amount: '7101' });
    expect(never.gateway.transaction(never.reference)?.callbacks).toEqual([]);
  });

  it('pays half where the payment is partial or corrected', async () => {
    const partial = await play({ amount: '7205.00' });
    expect(partial.status.text).toContain('"finalAmount":     { "value": 3602.50, "currency": "KES" }');
    const corrected = await play({ amount: '7204.00' });
    expect(corrected.bodies[0]).toContain('"finalAmount":     { "value": 7204.00, "currency": "KES" }');
    expect(corrected.bodies[1]).toContain('"finalAmount":     { "value": 3602.00, "currency": "KES" }');
  });

  it.each(['70010.00', '700.1', '7001.01', '17001', '7001.10'])(
    'lets %s succeed, which is near a listed amount',
    (amount) => {
      expect(chooseOutcome(amount, '+254711111111').name).toBe('success');
    },
  );

  it('lists every outcome in its help', () => {
    for (const { code, says } of outcomes) {
      const selectors = code === null ? 'any other  any other' : `${code}.00    ${msisdnOf(code)}`;
      expect(outcomesHelp.split('\n').filter((line) => line.includes(selectors) && line.endsWith(says))).toHaveLength(
        1,
      );
    }
  });
});
