// A route of the operator API: one definition for validation, handler and OpenAPI document.
import type { Readable } from 'node:stream';
import * as z from 'zod';
import { problem, type Problem } from '../../http/problem.ts';
import type { Asker, Need } from './permissions.ts';

/** Answered with the problem's own status. */
export interface Refusal {
  readonly problem: Problem;
}

export type Answer =
  | { readonly status: number; readonly body: unknown }
  /** A file to save, whole or as it is read. */
  | { readonly csv: string | Readable; readonly name: string }
  | Refusal;

export function refusal(...of: Parameters<typeof problem>): Refusal {
  return { problem: problem(...of) };
}

export interface AnswerSpec {
  readonly description: string;
  /** Without a schema the answer is a problem document. */
  readonly schema?: z.ZodType;
  /** `application/json` by default. */
  readonly mediaType?: string;
  /** Follow-up calls; the value of a parameter is an OpenAPI runtime expression. */
  readonly links?: Readonly<Record<string, LinkSpec>>;
}

export interface LinkSpec {
  readonly operationId: string;
  readonly parameters: Readonly<Record<string, `$${string}`>>;
}

/** The parts of a request; each is optional. */
export type InputShape = Partial<Record<'params' | 'query' | 'body', z.ZodType>>;

interface RouteHead {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** In OpenAPI's notation: `/v1/callbacks/{gatewayReference}`. */
  readonly path: `/v1/${string}`;
  readonly summary: string;
  readonly answers: Readonly<Record<number, AnswerSpec>>;
  readonly needs: Exclude<Need, 'nothing'>;
}

export interface Route extends RouteHead {
  readonly shape: InputShape;
  readonly run: (raw: unknown, asker: Asker) => Promise<Answer>;
}

export function route<Shape extends InputShape>(
  head: RouteHead & {
    readonly input: z.ZodObject<Shape>;
    readonly handle: (input: z.infer<z.ZodObject<Shape>>, asker: Asker) => Promise<Answer>;
  },
): Route {
  const { input, handle, ...rest } = head;
  return {
    ...rest,
    shape: input.shape,
    async run(raw, asker) {
      const parsed = input.safeParse(raw);
      return parsed.success ? handle(parsed.data, asker) : invalid(parsed.error);
    },
  };
}

function invalid(error: z.ZodError): Refusal {
  const errors = error.issues.map(({ path, message }) => ({ at: path.join('.'), message }));
  const first = errors[0];
  const detail = first === undefined ? 'The request is not valid.' : `${first.at}: ${first.message}.`;
  return refusal(400, 'invalid-request', detail, { errors });
}
