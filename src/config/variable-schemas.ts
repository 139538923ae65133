// The variables as JSON schemas and their defaults, for the `config` command and the published schema. Not in config.ts, since
// every process loads that when it starts.
import * as z from 'zod';
import { variables } from './config.ts';

const schemaOfVariables = z.looseObject({
  properties: z.record(z.string(), z.looseObject({ default: z.string().optional() })),
});

/** JSON schema of each variable as written in the environment. */
export const variableSchemas: Readonly<Record<string, { readonly default?: string | undefined }>> =
  schemaOfVariables.parse(z.toJSONSchema(variables, { io: 'input', unrepresentable: 'any' })).properties;

/** The defaults as a user would write them; variables whose default depends on others are missing. */
export const variableDefaults: ReadonlyMap<string, string> = new Map(
  Object.entries(variableSchemas).flatMap(([name, schema]) =>
    schema.default === undefined ? [] : [[name, schema.default]],
  ),
);
