// The gateway's errors: RFC 7807 documents whose `type` ends in the specific code.

const titles = {
  validation_failed: 'The request is not valid',
  bad_request: 'The request cannot be understood',
  unauthorized: 'The API key is missing or wrong',
  not_found: 'Not found',
  business_logic_error: 'The request cannot be carried out',
  too_many_requests: 'Too many requests',
  internal_server_error: 'Something went wrong at the gateway',
} as const;

export interface Problem {
  readonly status: number;
  readonly errorCode: keyof typeof titles;
  /** The specific code; the error code itself if there is none. */
  readonly code?: string;
  readonly detail: string;
}

/** The document's text. */
export function problemText({ status, errorCode, code = errorCode, detail }: Problem): string {
  const type = `https://docs.payalo.com/errors/${code}`;
  return JSON.stringify({ type, title: titles[errorCode], status, detail, errorCode });
}
