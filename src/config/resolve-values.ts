// Resolves each variable: from the variable itself, or from the file that NAME_FILE names. An empty string counts as unset.
import { readTextFile } from './read-text-file.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ResolvedValue {
  readonly value: string;
  /** The variable that was read: NAME, NAME_FILE, or a proxy's name in lower case. */
  readonly variable: string;
  /** The file that held the value, if it came from one. */
  readonly file?: string;
}

/** Adds what is wrong to `problems` and leaves that variable out. */
export function resolveValues(
  environment: Environment,
  names: readonly string[],
  problems: string[],
): Map<string, ResolvedValue> {
  const values = new Map<string, ResolvedValue>();
  for (const name of names) {
    const direct = readDirect(environment, name);
    const file = environment[`${name}_FILE`]?.trim() || undefined;
    if (direct !== undefined && file !== undefined)
      problems.push(`${name}: both ${name} and ${name}_FILE are set; keep one`);
    const resolved = direct ?? (file === undefined ? undefined : readValueFile(name, file, problems));
    if (resolved !== undefined) values.set(name, resolved);
  }
  return values;
}

/** Proxy variables are also read in lower case, which wins if both are set, as for curl. */
function readDirect(environment: Environment, name: string): ResolvedValue | undefined {
  const variables = name.endsWith('_PROXY') ? [name.toLowerCase(), name] : [name];
  const variable = variables.find((one) => environment[one]) ?? name;
  const value = environment[variable]?.trim() ?? '';
  return value === '' ? undefined : { value, variable };
}

function readValueFile(name: string, file: string, problems: string[]): ResolvedValue | undefined {
  try {
    const value = readTextFile(file).trim();
    return value === '' ? undefined : { value, variable: `${name}_FILE`, file };
  } catch (error) {
    problems.push(
      `${name}_FILE: ${file} cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'})`,
    );
    return undefined;
  }
}
