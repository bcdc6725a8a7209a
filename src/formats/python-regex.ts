import { BoosterError } from "../errors.ts";
import { withDeadline } from "./deadline.ts";
import { escapeRegex } from "./tokenize/regex.ts";

/** Known ones have some hundred characters; one that lists every module of a large model has some thousands. */
const MAX_LENGTH = 20_000;
/** For all names and expressions of an adapter together. */
const DEADLINE_MS = 1000;

/** A piece of Python's language at one place, and what JavaScript writes for it. */
type Piece = readonly [RegExp, (found: RegExpExecArray) => string];

const same = ([found]: RegExpExecArray) => found;
const literal = ([found]: RegExpExecArray) => escapeRegex(found.slice(-1));

const ESCAPES: readonly Piece[] = [
  [/\\[dDwWsSfnrtv]/y, same],
  [/\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})/y, same],
];
const OUTSIDE: readonly Piece[] = [
  ...ESCAPES,
  [/\\A/y, () => "^"],
  [/\\Z/y, () => "$"],
  [/\\(?:[bB]|[1-9]\d?)/y, same],
  [/\\[ -/:-@[-`{-~]/y, literal],
  [/\(\?P<([A-Za-z_]\w*)>/y, ([, name]) => `(?<${name}>`],
  [/\(\?P=([A-Za-z_]\w*)\)/y, ([, name]) => `\\k<${name}>`],
  [/\(\?#[^)]*\)/y, () => ""],
  [/\(\?(?:[:=!]|<[=!])|\((?!\?)/y, same],
  [/\{,(\d*)\}/y, ([, most]) => `{0,${most}}`],
  [/\{\d+(?:,\d*)?\}/y, same],
  // A bracket that stands first is a member of its class.
  [/\[(\^?)(\]?)/y, ([, not, bracket]) => `[${not}${bracket && "\\]"}`],
  [/[{}\]]/y, literal],
  [/[^\\(]/y, same],
];
const INSIDE: readonly Piece[] = [
  ...ESCAPES,
  [/\\[b-]/y, same],
  [/\\[ -/:-@[-`{-~]/y, literal],
  [/\[/y, literal],
  [/[^\\]/y, same],
];
/** Where a text of one line matches a pattern of Python's `re`, from its beginning; `whole`: up to its end (`fullmatch`). */
export interface PythonPattern {
  match(text: string): RegExpExecArray | null;
  readonly whole: (text: string) => boolean;
}

/**
 * A regular expression of Python's `re` for texts of one line in ASCII, such as names of modules.
 *
 * Translated to JavaScript's piece by piece: `\A`, `\Z`, `(?P<name>...)`, `(?P=name)`, `(?#...)`, `{,3}`, `[]x]`, `(?i)` in front. What
 * only one of the languages has (atomic groups, possessive repeats, conditions, verbose expressions) is refused.
 *
 * @throws {BoosterError} `ADAPTER_CONFIG_INVALID`
 * @example
 * pythonRegex(".*\\.[01]\\.(self_attn\\.[qv]_proj|mlp\\.down_proj)", "target_modules").whole("model.layers.0.mlp.down_proj");
 */
export function pythonRegex(source: string, where: string): PythonPattern {
  const refuse = (cause?: unknown) =>
    new BoosterError("ADAPTER_CONFIG_INVALID", "a regular expression cannot be read", {
      expected: `one of Python's, of at most ${MAX_LENGTH} characters, without atomic groups, possessive repeats and conditions`,
      found: source.slice(0, 200),
      where,
      cause,
    });
  const [front = "", flags = ""] = /^\(\?([aimsu]+)\)/.exec(source) ?? [];
  const translated = source.length > MAX_LENGTH ? undefined : translate(source.slice(front.length));
  if (translated === undefined) throw refuse();
  try {
    const compiled = (end: string) => new RegExp(`^(?:${translated})${end}`, flags.includes("i") ? "iu" : "u");
    const [start, whole] = [compiled(""), compiled("$")];
    return { match: (text) => start.exec(text), whole: (text) => whole.test(text) };
  } catch (error) {
    throw refuse(error);
  }
}

/** In JavaScript's language; undefined for a piece that it lacks. */
function translate(source: string): string | undefined {
  let [text, inside] = ["", false];
  for (let at = 0; at < source.length; ) {
    const found = pieceAt(inside ? INSIDE : OUTSIDE, source, at);
    if (found === undefined) return undefined;
    text += found.text;
    at += found.piece.length;
    inside = inside ? found.piece !== "]" : found.piece.startsWith("[");
  }
  return inside ? undefined : text;
}

function pieceAt(pieces: readonly Piece[], source: string, at: number) {
  for (const [pattern, write] of pieces) {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match !== null) return { piece: match[0], text: write(match) };
  }
  return undefined;
}

/** Runs what asks patterns about names, within a time that no pattern can exceed. Throws `DEADLINE_EXCEEDED`. */
export const withinMatchingTime = <T>(task: () => T): T => withDeadline(DEADLINE_MS, task);
