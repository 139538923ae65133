// One line of the doctor: what was checked, the finding, and the fix.

export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'problem';
  /** The finding. */
  readonly detail: string;
  /** What to do; '' if all is well. */
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
