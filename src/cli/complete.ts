import { commandFields } from "./command-fields.ts";
import { COMMANDS } from "./commands/index.ts";
import { COMMON_FLAGS, flagOf } from "./flags.ts";

/**
 * What may stand in the place of the last of some words behind `booster`: a command, a flag of it, or a value that the flag
 * before it chooses from. Nothing where the shell should offer files.
 *
 * @example
 * await completionsOf(["align", "--method", "boo"]); // ["booster", "booster-vaccine"]
 */
export async function completionsOf(words: readonly string[]): Promise<string[]> {
  const [current = "", before = ""] = words.toReversed();
  const fitting = (names: readonly string[]) => [...new Set(names)].filter((name) => name.startsWith(current));
  const typed = [...words.slice(0, -1), ""].join(" ");
  const row = COMMANDS.find(({ name }) => typed.startsWith(`${name} `));
  if (row === undefined) {
    const next = COMMANDS.filter(({ name }) => name.startsWith(typed));
    return fitting(next.map(({ name }) => name.slice(typed.length).split(" ")[0] ?? ""));
  }
  const { own, settings, source } = commandFields((await row.load()).command);
  const fields = [...own, ...settings, ...source];
  if (current.startsWith("-"))
    return fitting([...fields.map(({ flag }) => flagOf(flag)), ...Object.keys(COMMON_FLAGS)]);
  const field = fields.find(({ flag, kind }) => flagOf(flag) === before && kind !== "boolean");
  return fitting(field?.choices ?? []);
}
