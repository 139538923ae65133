// Queue and delivery as an AsyncAPI document, for client generators: generated from the job's schema, the headers of a
// delivery, and their descriptions in docs/delivery.md.
// `npx vitest run test/deliver/asyncapi.test.ts -u` regenerates docs/reference/asyncapi.json.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { jobJsonSchema } from '../../src/callback/job-json-schema.ts';
import { jobName } from '../../src/callback/job.ts';
import { variableDefaults } from '../../src/config/variable-schemas.ts';
import { deliveryHeaders } from '../../src/deliver/http/delivery-headers.ts';
import { packageVersion } from '../../src/telemetry/package-version.ts';
import { jobData } from './rig.ts';

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/delivery.md'), 'utf8');
const plain = (markdown: string) => markdown.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1').replaceAll('`', '');

const bare = { job: jobData(), webhookId: 'id', sequence: 0, attempt: 1, confirmed: 'yes' } as const;
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const full = { ...bare, job: jobData({ finalAmount: '100 KES', expectedAmount: '100 KES', traceparent }) };
const always = Object.keys(deliveryHeaders(bare, [], 0));
const names = Object.keys(deliveryHeaders(full, [Buffer.alloc(32)], 0));

/** From the table in docs/delivery.md; two headers are not in it. */
const meanings = new Map([
  ['content-type', 'application/json'],
  ['traceparent', 'W3C trace context, if tracing is on.'],
  ...[...page.matchAll(/^\| (`(?:webhook|payalo)-[^|]*) \| (.*) \|$/gm)].flatMap(([, heads = '', meaning = '']) =>
    Array.from(heads.matchAll(/`([\w-]+)`/g), ([, name = '']): [string, string] => [name, plain(meaning)]),
  ),
]);

const document = {
  asyncapi: '3.0.0',
  info: {
    title: 'payalo-receiver: queue and deliveries',
    version: packageVersion(),
    description:
      'What the receiver passes on: each callback becomes a job in a BullMQ queue and is delivered by HTTP, at least once.',
    license: { name: 'MIT' },
  },
  defaultContentType: 'application/json',
  channels: {
    queue: {
      address: variableDefaults.get('QUEUE_NAME'),
      title: 'The BullMQ queue of the brand default',
      description:
        'The queue is QUEUE_NAME, and QUEUE_PREFIX starts its keys. Every other brand has the queue QUEUE_NAME.brand. Any BullMQ worker may consume it.',
      messages: { [jobName]: { $ref: '#/components/messages/job' } },
    },
    endpoint: {
      address: null,
      title: "The merchant's endpoint",
      description:
        'FORWARD_URL. A 2xx within FORWARD_TIMEOUT completes the delivery; after anything else it is retried as FORWARD_RETRIES says.',
      messages: { delivery: { $ref: '#/components/messages/delivery' } },
    },
  },
  operations: {
    enqueue: {
      action: 'send',
      channel: { $ref: '#/channels/queue' },
      summary: 'Once for each callback, before it is answered.',
    },
    deliver: {
      action: 'send',
      channel: { $ref: '#/channels/endpoint' },
      summary:
        'At least once. Exactly once for a merchant who books the result and stores the webhook-id in one transaction.',
      bindings: { http: { method: 'POST', bindingVersion: '0.3.0' } },
    },
  },
  components: {
    messages: {
      job: { name: jobName, title: 'A callback in the queue', payload: jobJsonSchema() },
      delivery: {
        name: 'delivery',
        title: "The gateway's body, byte for byte",
        headers: {
          type: 'object',
          required: always,
          properties: Object.fromEntries(
            names.map((name) => [name, { type: 'string', description: meanings.get(name) }]),
          ),
        },
        payload: {
          type: 'object',
          description: "The gateway's own JSON; unknown fields and new values of open enums may come at any time.",
          required: ['gatewayReference'],
          properties: {
            gatewayReference: { type: 'string' },
            merchantReference: { type: ['string', 'null'] },
            status: { type: ['string', 'null'], description: 'success, failed, and others.' },
            type: { type: ['string', 'null'] },
            finalAmount: {
              type: ['object', 'null'],
              properties: { value: { type: ['number', 'string'] }, currency: { type: 'string' } },
            },
            errorCode: { type: ['string', 'null'] },
          },
        },
      },
    },
  },
};

test('matches the published document, with a description of each header', async () => {
  expect(names.filter((name) => meanings.get(name) === undefined)).toEqual([]);
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../../docs/reference/asyncapi.json');
});
