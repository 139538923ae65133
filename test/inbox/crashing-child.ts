// A merchant that dies: kills itself before its n-th statement while it books a delivery through the inbox. Arguments: dialect,
// where, n, webhook-id.
import { connectTo, dialects } from './databases.ts';

const [name, where = '', stepText, webhookId = ''] = process.argv.slice(2);
const dialect = dialects.find((known) => known === name) ?? 'sqlite';
let statements = 0;
const connection = await connectTo(dialect, where, () => {
  statements += 1;
  if (statements === Number(stepText)) process.kill(process.pid, 'SIGKILL');
});
await connection.once({ webhookId, gatewayReference: `ref-${webhookId}`, sequence: 0 }, () =>
  connection.run(`INSERT INTO bookings (reference, amount) VALUES ('${webhookId}', 100)`),
);
await connection.close();
