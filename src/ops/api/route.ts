// A route of the operator API: one definition from which come the validation, the handler and the OpenAPI document.
import * as z from 'zod';
import { problem, type Problem } from '../../http/problem.ts';
import type { Asker, Need } from './permissions.ts';

/** Answered with the problem's own status. */
export interface Refusal {
  readonly problem: Problem;
}

export type Answer = { readonly status: number; readonly body: unknown } | Refusal;

export function refusal(...of: Parameters<typeof problem>): Refusal {
  return { problem: problem(...of) };
}

export interface AnswerSpec {
  readonly description: string;
  /** Without one the answer is a problem document. */
  readonly schema?: z.ZodType;
  /** `application/json` unless it says otherwise. */
  readonly mediaType?: string;
  /** Calls that go on from here; a parameter's value as OpenAPI's runtime expressions say where it stands. */
  readonly links?: Readonly<Record<string, LinkSpec>>;
}

export interface LinkSpec {
  readonly operationId: string;
  readonly parameters: Readonly<Record<string, `$${string}`>>;
}

/** What a request is made of; each part is optional. */
export type InputShape = Partial<Record<'params' | 'query' | 'body', z.ZodType>>;

interface RouteHead {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As OpenAPI writes it: `/v1/callbacks/{gatewayReference}`. */
  readonly path: `/v1/${string}`;
  readonly summary: string;
  readonly answers: Readonly<Record<number, AnswerSpec>>;
  readonly needs: Exclude<Need, 'nothing'>;
}

/** What the OpenAPI document says of a route; of one that is served elsewhere it is all there is. */
export interface RouteDescription extends RouteHead {
  readonly shape: InputShape;
}

export interface Route extends RouteDescription {
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
