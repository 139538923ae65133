// The OpenAPI document of the operator API, generated from the routes and their schemas.
import * as z from 'zod';
import { packageVersion } from '../../telemetry/package-version.ts';
import { problemContentType } from '../../http/problem.ts';
import type { AnswerSpec, Route } from './route.ts';

const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z
    .array(z.looseObject({ at: z.string().optional(), index: z.int().optional(), message: z.string().optional() }))
    .optional()
    .describe('The problems one by one, if there can be several.'),
});

const always: Readonly<Record<number, AnswerSpec>> = {
  400: { description: 'The request is not valid' },
  401: { description: 'No token, or an unknown one' },
  403: { description: 'This token may not do this (x-needs), or the request came from another site' },
  503: { description: 'Redis does not answer' },
};

export function openApi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'payalo-receiver operator API', version: packageVersion() },
    security: [{ bearer: [] }, { basic: [] }],
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, basic: { type: 'http', scheme: 'basic' } },
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
    },
    paths,
  };
}

function operation({ summary, path, method, needs, shape, answers }: Route): object {
  const parameters = [...parametersOf(shape.params, 'path'), ...parametersOf(shape.query, 'query')];
  return {
    summary,
    'x-needs': needs,
    operationId: [method.toLowerCase(), ...path.split('/').filter((part) => /^[a-z]/.test(part) && part !== 'v1')]
      .join('-')
      .concat(path.includes('{') ? '-one' : ''),
    ...(parameters.length > 0 && { parameters }),
    ...(shape.body !== undefined && {
      requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(shape.body, 'input') } } },
    }),
    responses: Object.fromEntries(
      Object.entries({ ...always, ...answers }).map(([status, spec]) => [status, answer(spec)]),
    ),
  };
}

function answer({ description, schema, mediaType = 'application/json', links }: AnswerSpec): object {
  if (schema !== undefined) {
    return { description, content: { [mediaType]: { schema: jsonSchema(schema, 'output') } }, ...(links && { links }) };
  }
  return { description, content: { [problemContentType]: { schema: { $ref: '#/components/schemas/Problem' } } } };
}

const objectSchema = z.looseObject({
  properties: z.record(z.string(), z.looseObject({ description: z.string().optional() })).default({}),
  required: z.array(z.string()).default([]),
});

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): object[] {
  if (schema === undefined) return [];
  const { properties, required } = objectSchema.parse(jsonSchema(schema, 'input'));
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description !== undefined && { description }),
    schema: rest,
  }));
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
