import type { CommandSpec } from "./command.ts";
import { type CommandFields, grouped } from "./command-fields.ts";
import { type ChoiceGroup, choicesOf, type Field } from "./fields.ts";
import { COMMON_FLAGS, describeField, flagOf, flagText } from "./flags.ts";

/** Characters of a line, and of its left column. */
const WIDTH = Math.max(60, Math.min(100, process.stdout.columns ?? 100));
const LEFT = 30;
/** Names of a group that are still listed. */
const MANY = 8;
/** Choices from a table that are described although no example has them. */
const TABLES = 2;

/** What stands on the left of a line of help, and what on its right. */
type Line = readonly [left: string, right: string];

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

function section(title: string, lines: readonly Line[]): string[] {
  if (lines.length === 0) return [];
  const left = Math.min(LEFT, Math.max(...lines.map(([text]) => text.length)));
  const indent = " ".repeat(left + 4);
  const body = lines.flatMap(([flag, text]) => {
    const [first = "", ...rest] = wrapped(text, WIDTH - indent.length).map((line) => `${indent}${line}`);
    const head = flag.length > left ? [`  ${flag}`, first] : [`  ${flag.padEnd(left)}${first.slice(left + 2)}`];
    return [...head, ...rest].map((line) => line.trimEnd());
  });
  return ["", `\x1b[1m${title}\x1b[22m`, ...body];
}

const lineOf = (field: Field): Line => [flagText(field), describeField(field)];

/** Names of flags, those of groups with the same members once: `--seed --{task,harmful}.{kind,limit}`. */
function namesOf(fields: readonly Field[]): string {
  const groups = grouped(fields, ({ flag }) => flagOf(flag.slice(0, -1)).slice(2));
  const top = groups.get("") ?? [];
  groups.delete("");
  const membersOf = (group: string) =>
    braced((groups.get(group) ?? []).map(({ flag }) => flagOf(flag.slice(-1)).slice(2)));
  const nested = [...grouped([...groups.keys()], membersOf)].flatMap(([names, owners]) =>
    names === "*" ? owners.map((owner) => `--${owner}.*`) : `--${braced(owners)}.${names}`,
  );
  return [...top.map(({ flag }) => flagOf(flag)), ...nested].join(" ");
}

/** Names in braces; of many, that there are some. */
function braced(names: readonly string[]): string {
  if (names.length > MANY) return "*";
  return names.length === 1 ? names.join() : `{${names.join(",")}}`;
}

/** The settings of what was chosen from a table. */
function settingsOf({ group, rows }: ChoiceGroup, name: unknown): string[] {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) return [];
  const none: Line[] = [["none", ""]];
  return section(`Settings of ${flagOf(group)} ${row.name}:`, row.fields.length === 0 ? none : row.fields.map(lineOf));
}

/**
 * What `--help` shows of a command: the options that it needs or that stand in its examples, and the names of the others.
 *
 * @param own options of the command itself; `settings` are those of its tables
 * @param given the flags that stand beside `--help`: the settings of what they choose from a table are shown
 */
export function commandHelp(
  name: string,
  spec: CommandSpec,
  { own: options, settings, source }: CommandFields,
  given: Readonly<Record<string, unknown>>,
  all: boolean,
): string {
  const [example = "", ...others] = spec.examples;
  const tables = spec.settingsInFile ? [] : choicesOf(spec.options);
  const own = [...options, ...source];
  const isOften = ({ required, flag }: Field) =>
    required ||
    tables.slice(0, TABLES).some(({ group }) => group.join() === flag.join()) ||
    example.includes(` ${flagOf(flag)} `);
  const often = own.filter(isOften).toSorted((a, b) => Number(b.required) - Number(a.required));
  const rest = own.filter((field) => !isOften(field));
  const groups = grouped([...own, ...settings], ({ flag }) => (flag.length > 1 ? flagOf(flag.slice(0, 1)) : "Options"));
  return [
    `Usage: booster ${[name, ...(spec.positional ?? []).map((text) => `[${text.replace(/\.name$/, "")}]`)].join(" ")} [options]`,
    "",
    ...wrapped(spec.details.replaceAll("\n", " "), WIDTH),
    ...(all
      ? [...groups].flatMap(([title, members]) => section(`${title}:`, members.map(lineOf)))
      : [
          ...section("Options:", often.map(lineOf)),
          ...(tables.length === 0
            ? []
            : [`  ${flagOf(tables[0]?.group ?? [])} NAME --help also shows the settings of NAME.`]),
          ...tables.flatMap((table) => settingsOf(table, given[table.group.join(".")])),
          ...(rest.length === 0 ? [] : section("More options:", [["", namesOf(rest)]])),
        ]),
    ...section("Every command:", Object.entries(COMMON_FLAGS)),
    "",
    "\x1b[1mExamples:\x1b[22m",
    ...[example, ...(all ? others : [])].flatMap((text) => {
      const [line, why] = text.split("  # ");
      return [`  # ${why}`, `  ${line}`];
    }),
    "",
  ].join("\n");
}
