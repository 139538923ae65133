// The job as JSON Schema, for consumers in other languages. Published as `payalo-receiver/job.schema.json`.
import * as z from 'zod';
import { jobSchema } from './job.ts';

export function jobJsonSchema(): object {
  // `input`: a consumer must accept unknown fields, so nothing forbids additional properties.
  return {
    ...z.toJSONSchema(jobSchema, { io: 'input' }),
    title: 'The data of a payalo-receiver job, version 1',
  };
}
