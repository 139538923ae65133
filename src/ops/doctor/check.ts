// One line of the doctor: what was looked at, what was found, and what to do about it.

export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'problem';
  /** What was found. */
  readonly detail: string;
  /** What to do; '' where all is well. */
  readonly fix: string;
}
