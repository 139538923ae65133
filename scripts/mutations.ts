// The mutants of a source file, in TypeScript or Lua: all small mistakes that could be made in it.
//
// Works on the text, not on a syntax tree, so that the same operators serve both languages. Comments, strings and regular
// expressions stay unchanged. Mutants that are not valid TypeScript are omitted.
import { stripTypeScriptTypes } from 'node:module';

export interface Mutant {
  readonly line: number;
  /** The changed line, for people; it identifies the mutant. */
  readonly change: string;
  /** The text of the whole file. */
  readonly text: string;
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly to: string;
}

type Language = 'ts' | 'lua';

const notCode = {
  ts: /\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|(?<=[=(,:] *|return )\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\n\\[])+\/\w*/g,
  lua: /--\[\[[\s\S]*?\]\]|--.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g,
};

/** Operators that replace each other. */
const swaps: Readonly<Record<Language, readonly (readonly [RegExp, string])[]>> = {
  ts: [
    [/(?<= )===(?= )/g, '!=='],
    [/(?<= )!==(?= )/g, '==='],
    [/(?<= )&&(?= )/g, '||'],
    [/(?<= )(?:\|\||\?\?)(?= )/g, '&&'],
    [/!(?=[\w(])/g, ''],
  ],
  lua: [
    [/(?<= )==(?= )/g, '~='],
    [/(?<= )~=(?= )/g, '=='],
    [/(?<= )and(?= )/g, 'or'],
    [/(?<= )or(?= )/g, 'and'],
    [/\bnot /g, ''],
  ],
};
const swapsOfBoth: readonly (readonly [RegExp, string])[] = [
  [/(?<= )<(?= )/g, '<='],
  [/(?<= )<=(?= )/g, '<'],
  [/(?<= )>(?= )/g, '>='],
  [/(?<= )>=(?= )/g, '>'],
  [/(?<= )(?<!\[#\w+ |ARGV\[at )\+(?= )/g, '-'],
  [/(?<= )\+=(?= )/g, '-='],
  [/(?<= )-(?= )/g, '+'],
  [/(?<= )\*(?= )/g, '/'],
  [/(?<= )\/(?= )/g, '*'],
  [/\btrue\b/g, 'false'],
  [/\bfalse\b/g, 'true'],
  [/(?<=\bmath\.)max\b/gi, 'min'],
  [/(?<=\bmath\.)min\b/gi, 'max'],
];

export function mutantsOf(text: string, language: Language): Mutant[] {
  const code = text.replace(notCode[language], (found) => found.replace(/[^\n]/g, ' '));
  const edits = [
    ...[...swaps[language], ...swapsOfBoth].flatMap(([pattern, to]) => each(code, pattern, () => to)),
    // A long number is a time or a size, to which adding one means nothing. Argument positions are listed in each script.
    ...each(code, /(?<![\w.]|#\w+ \+ |(?:ARGV|KEYS)\[[^\]]*)\d{1,3}(?![\w.])/g, (number) => String(Number(number) + 1)),
    ...negations(code, text, language),
    ...removals(code, language),
    ...emptyFunctions(code, language),
  ];
  return edits
    .toSorted((one, other) => one.start - other.start)
    .map(({ start, end, to }) => ({
      ...describe(text, start, end, to),
      text: text.slice(0, start) + to + text.slice(end),
    }))
    .filter((mutant) => language === 'lua' || isTypeScript(mutant.text));
}

function each(code: string, pattern: RegExp, to: (found: string) => string): Edit[] {
  return [...code.matchAll(pattern)].map((match) => {
    const [found] = match;
    return { start: match.index, end: match.index + found.length, to: to(found) };
  });
}

/** Negates the conditions of `if` and of conditional expressions. */
function negations(code: string, text: string, language: Language): Edit[] {
  if (language === 'lua') {
    const condition = /(?<=\bif )(?!not\b)(?:.+?)(?= then\b)/g;
    return each(code, condition, (found) => found)
      .filter(({ to }) => !isComparison(to))
      .map(({ start, end }) => ({ start, end, to: `not (${text.slice(start, end)})` }));
  }
  const always = each(code, / \?(?= )/g, () => ' && false ?');
  const negated = [...code.matchAll(/\bif (?=\((?!!))/g)]
    .map(({ index }) => ({ start: index + 'if '.length, end: endOfCall(code, index + 'if '.length) }))
    .filter(({ start, end }) => !isComparison(code.slice(start, end)))
    .map(({ start, end }) => ({ start, end, to: `(!${text.slice(start, end)})` }));
  return [...always, ...negated];
}

/** Swapping its operator already negates it. */
function isComparison(condition: string): boolean {
  return / (?:[!=]==|==|~=) /.test(condition) && !/ (?:&&|\|\||and|or) /.test(condition);
}

/** Removes a statement that is a call or an assignment and starts its line. */
function removals(code: string, language: Language): Edit[] {
  const call = language === 'ts' ? /^ +(?:(?:await|void) )?[\w.?]+(?=\()/gm : /^ +[\w.]+(?=\()/gm;
  const calls = [...code.matchAll(call)]
    .filter(([found]) => !/^ *(?:if|for|while|switch|return|function|elseif|super|catch)$/.test(found))
    .map(({ index, 0: found }) => ({ start: index + found.search(/\w/), end: endOfCall(code, index + found.length) }))
    .filter(({ end }) => (language === 'ts' ? code[end] === ';' : /^ *(?:\n|end\b)/.test(code.slice(end))));
  const assignment = language === 'ts' ? /^ +[\w.[\]]+ (?:\+=|=) .*(?=;$)/gm : /^ +[\w.[\]# +]+ = [^{\n]*$/gm;
  const assignments = [...code.matchAll(assignment)]
    .filter(
      ([found]) => !/^ *(?:local|const|let|readonly|type|if|for|return) /.test(found) && !/(?:and|or) *$/.test(found),
    )
    .map(({ index, 0: found }) => ({ start: index + found.search(/\w/), end: index + found.length }));
  return [...calls, ...assignments].map(({ start, end }) => ({ start, end, to: '' }));
}

function emptyFunctions(code: string, language: Language): Edit[] {
  const head =
    language === 'ts' ? /\bfunction .*\) *(?:: [^={}]+(?:\{ [^{}]* \})?)?\{$/gm : /\bfunction [\w]+\([^)]*\)$/gm;
  const early = language === 'ts' ? ' return;' : ' do return end';
  return [...code.matchAll(head)].map(({ index, 0: found }) => {
    const at = index + found.length;
    return { start: at, end: at, to: early };
  });
}

/** The position after the bracket that closes the one at `open`. */
function endOfCall(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    if (code[at] === '(') depth += 1;
    if (code[at] === ')') depth -= 1;
    if (depth === 0) return at + 1;
  }
  return code.length;
}

function describe(text: string, start: number, end: number, to: string): { line: number; change: string } {
  const from = text.lastIndexOf('\n', start - 1) + 1;
  const until = text.indexOf('\n', end);
  const part = (value: string) => value.replace(/\s+/g, ' ');
  const change = `${part(text.slice(from, start))}{{${part(text.slice(start, end))} => ${to}}}${part(text.slice(end, until))}`;
  return { line: text.slice(0, start).split('\n').length, change: change.trim() };
}

function isTypeScript(text: string): boolean {
  try {
    stripTypeScriptTypes(text);
    return true;
  } catch {
    return false;
  }
}
