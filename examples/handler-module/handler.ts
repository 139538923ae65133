// A merchant's function in the service's own process: HANDLER_MODULE=examples/handler-module/handler.ts
// Returning completes the delivery, throwing retries it later, a PermanentError fails the callback at once.
import { PermanentError, type HandledCallback } from '../../src/index.ts';
import { openOrders } from '../orders.ts';

const bookOnce = openOrders();

export default async function handle(callback: HandledCallback): Promise<void> {
  const { webhookId, sequence, gatewayReference, status, transaction, signal } = callback;
  if (status === null) throw new PermanentError('a callback without a status cannot be booked');
  // Stop when this signal aborts: the process is killed soon after.
  signal.throwIfAborted();
  // Book the payment: yours goes into bookOnce. `transaction.merchantReference` is your order's number, `transaction.finalAmount` what was
  // paid: compare it with what the order costs before anything is sent.
  const isNew = bookOnce({ webhookId, sequence, gatewayReference, status });
  // `transaction.finalAmount.value` would be the exact text "100.00": never calculate with it as a double.
  console.log(isNew ? 'booked' : 'known', gatewayReference, status, Object.keys(transaction).length, 'fields');
}
