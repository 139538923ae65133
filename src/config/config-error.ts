// A configuration that only starting shows to be wrong (a module that cannot be loaded). Ends the process with 78.

export class ConfigError extends Error {
  readonly code: string;

  /** @param message one line that opens with the variable's name */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
    this.code = code;
  }
}
