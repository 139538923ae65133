// A route of the operator API: one definition from which come the validation, the handler and the OpenAPI document.
import * as z from 'zod';
import { problem, type Problem } from '../../http/problem.ts';
import type { Actor } from '../audit.ts';

export type Answer =
  { readonly status: number; readonly body: unknown } | { readonly status: number; readonly problem: Problem };

export interface AnswerSpec {
  readonly description: string;
  /** Without one the answer is a problem document. */
  readonly schema?: z.ZodType;
}

/** What a request is made of; each part is optional. */
export type InputShape = Partial<Record<'params' | 'query' | 'body', z.ZodType>>;

interface RouteHead {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As OpenAPI writes it: `/v1/callbacks/{gatewayReference}`. */
  readonly path: `/v1/${string}`;
  readonly summary: string;
  readonly answers: Readonly<Record<number, AnswerSpec>>;
  /** A token that may only register expectations suffices. */
  readonly expecting?: boolean;
}

export interface Route extends RouteHead {
  readonly shape: InputShape;
  readonly run: (raw: unknown, actor: Actor) => Promise<Answer>;
}

export function route<Shape extends InputShape>(
  head: RouteHead & {
    readonly input: z.ZodObject<Shape>;
    readonly handle: (input: z.infer<z.ZodObject<Shape>>, actor: Actor) => Promise<Answer>;
  },
): Route {
  const { input, handle, ...rest } = head;
  return {
    ...rest,
    shape: input.shape,
    async run(raw, actor) {
      const parsed = input.safeParse(raw);
      return parsed.success ? handle(parsed.data, actor) : { status: 400, problem: invalid(parsed.error) };
    },
  };
}

function invalid(error: z.ZodError): Problem {
  const errors = error.issues.map(({ path, message }) => ({ at: path.join('.'), message }));
  const first = errors[0];
  const detail = first === undefined ? 'The request is not valid.' : `${first.at}: ${first.message}.`;
  return problem(400, 'invalid-request', detail, { errors });
}
