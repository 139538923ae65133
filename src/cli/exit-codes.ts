// The exit codes that scripts can rely on. 69 and 78 are EX_UNAVAILABLE and EX_CONFIG of sysexits.h.
export const exitCodes = { done: 0, no: 1, usage: 2, unavailable: 69, config: 78 } as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The command cannot do its work: ends it with this sentence and exit code. */
export class CommandError extends Error {
  readonly code: Exclude<keyof typeof exitCodes, 'done'>;

  constructor(code: CommandError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
