// One line of the doctor: what was looked at, what was found, and what to do about it.

export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'problem';
  /** What was found. */
  readonly detail: string;
  /** What to do; '' where all is well. */
  readonly fix: string;
}

export function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, fix: '' };
}

export function warning(name: string, detail: string, fix: string): Check {
  return { name, status: 'warning', detail, fix };
}

export function problem(name: string, detail: string, fix: string): Check {
  return { name, status: 'problem', detail, fix };
}
