// Writes src/callback/job.schema.json, the public JSON Schema of the job, from the zod schema. A test compares the two.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { jobJsonSchema } from '../src/callback/job-json-schema.ts';

const file = path.join(path.dirname(import.meta.dirname), 'src', 'callback', 'job.schema.json');
writeFileSync(file, `${JSON.stringify(jobJsonSchema(), null, 2)}\n`);
