/** A pattern of paths, ready to be compared: `*` and `?` stand for anything within a name, a name that is `**` for any folders. */
export type Glob = readonly string[];

/** Names of a pattern; what stands for the folder that it begins in is left out. */
export const globOf = (pattern: string): Glob =>
  pattern.split("/").filter((name, i) => name !== "." && (name !== "" || i > 0));

/**
 * Whether a path fits a pattern. Takes at most as many steps as both lengths multiplied, whatever the pattern is.
 *
 * @example
 * fits(globOf("data/*.jsonl"), "data/train.jsonl"); // true
 */
export const fits = (glob: Glob, path: string): boolean =>
  wild(
    glob,
    path.split("/"),
    (name) => name === "**",
    (pattern, name) =>
      wild(
        [...pattern],
        [...name],
        (letter) => letter === "*",
        (letter, of) => letter === "?" || letter === of,
      ),
  );

/** Compares a list with a pattern in which some parts stand for any number of others: on a misfit the last such part takes one more. */
function wild(
  pattern: readonly string[],
  parts: readonly string[],
  isAny: (part: string) => boolean,
  isSame: (pattern: string, part: string) => boolean,
): boolean {
  let [p, i] = [0, 0];
  let [any, taken] = [-1, 0];
  while (i < parts.length) {
    const next = pattern[p];
    if (next !== undefined && isAny(next)) {
      [any, taken] = [p, i];
      p++;
    } else if (next !== undefined && isSame(next, parts[i] as string)) {
      p++;
      i++;
    } else if (any >= 0) {
      taken++;
      [p, i] = [any + 1, taken];
    } else return false;
  }
  while (p < pattern.length && isAny(pattern[p] as string)) p++;
  return p === pattern.length;
}
