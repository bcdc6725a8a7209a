import type { CommandSpec } from "./command.ts";
import { type ChoiceGroup, choicesOf, type Field, fieldsOf } from "./fields.ts";
import { describeField } from "./flags.ts";

/** What a command takes, as its help and completion list it: its own options, and the settings behind what its tables offer. */
export interface CommandFields {
  readonly own: readonly Field[];
  readonly settings: readonly Field[];
  /** Flags that stand for a configuration file. */
  readonly source: readonly Field[];
}

/** @param listed only what the command lists, not all that it takes */
export function commandFields(
  { options, source, settingsInFile, lists = {} }: CommandSpec,
  listed = true,
): CommandFields {
  const isListed = (group: readonly string[], name: string) =>
    !listed || (lists[group.join(".")]?.includes(name) ?? true);
  const own = fieldsOf(options).map((field): Field => {
    const choices = field.choices?.filter((name) => isListed(field.flag, name));
    return { ...field, ...(choices && { choices }) };
  });
  const tables = settingsInFile ? [] : choicesOf(options);
  return {
    own,
    source: source === undefined ? [] : fieldsOf(source.options),
    settings: tables.flatMap(({ group, rows }) => settingsOf(rows.filter(({ name }) => isListed(group, name)))),
  };
}

/** Items that have a key in common, by that key, in the order in which they come. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** The options of a table's rows; rows that call an option alike share its flag. */
function settingsOf(rows: ChoiceGroup["rows"]): Field[] {
  const all = rows.flatMap(({ name, fields }) => fields.map((field) => ({ name, field })));
  return [...grouped(all, ({ field }) => field.path.join(".")).values()].map((own): Field => {
    const [first, ...others] = own as [(typeof own)[number], ...typeof own];
    const shared = { ...first.field, required: false };
    if (others.length === 0) return { ...shared, description: `${first.name}: ${first.field.description}`.trim() };
    const { choices: _, default: __, entries, ...common } = shared;
    const description = own
      .map(({ name, field }) => `${name}: ${describeField({ ...field, required: false })}`)
      .join("; ");
    const sameKind = others.every(({ field }) => field.kind === common.kind && field.entries === entries);
    if (!sameKind) return { ...common, description, kind: "structure" };
    return { ...common, description, ...(entries === undefined ? {} : { entries }) };
  });
}
