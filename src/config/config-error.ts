// A configuration problem that only shows during the start (a module that cannot be loaded). Exit code 78.

export class ConfigError extends Error {
  readonly code: string;

  /** @param message one line that begins with the variable's name */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
    this.code = code;
  }
}
