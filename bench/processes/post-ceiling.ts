// The upper bound of delivering: one undici pool that posts the same bodies as fast as the merchant answers, from memory.
import { Pool } from 'undici';
import { callbackText, referenceOf } from '../callback-text.ts';

const [url = '', requests = '0', connections = '0'] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const pool = new Pool(origin, { connections: Number(connections) });
let next = 0;

async function post(): Promise<void> {
  while (next < Number(requests)) {
    const body = callbackText(referenceOf('ceiling', next));
    next += 1;
    const answer = await pool.request({
      method: 'POST',
      path: pathname,
      headers: { 'content-type': 'application/json' },
      body,
    });
    await answer.body.dump();
  }
}

const before = process.cpuUsage();
await Promise.all(Array.from({ length: Number(connections) }, post));
// One line of JSON, as every process that runs to its end prints: its CPU time.
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ cpuMicroseconds: user + system }));
await pool.close();
