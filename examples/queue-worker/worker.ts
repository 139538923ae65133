// A merchant's own worker process for the queue. Run as many as needed; BullMQ distributes the callbacks among them.
import { createCallbackWorker } from '../../src/index.ts';
import { openOrders } from '../orders.ts';

const bookOnce = openOrders();

const worker = createCallbackWorker(
  ({ webhookId, sequence, gatewayReference, status }) => {
    // Book the payment: yours goes into bookOnce. The job's `merchantReference` is your order's number, `finalAmount` what was paid:
    // compare it with what the order costs before anything is sent.
    const isNew = bookOnce({ webhookId, sequence, gatewayReference, status: status ?? 'unknown' });
    console.log(isNew ? 'booked' : 'known', gatewayReference, status);
  },
  {
    connection: { url: process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379' },
    queueName: process.env['QUEUE_NAME'] ?? 'payalo-callbacks',
    queuePrefix: process.env['QUEUE_PREFIX'] ?? '{payalo}',
  },
);

// Finishes the jobs in progress; another worker handles what it does not finish.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void worker.close().then(() => process.exit(0)));
}
console.log('working');
