import type { CommandSpec } from "./command.ts";
import { type ChoiceGroup, choicesOf, type Field, fieldsOf } from "./fields.ts";
import { describeField } from "./flags.ts";

/** What a command takes, as its help and completion list it: its own options, and the settings behind what its tables offer. */
export interface CommandFields {
  readonly own: readonly Field[];
  readonly settings: readonly Field[];
}

/** @param listed only what the command lists, not all that it takes */
export function commandFields({ options, settingsInFile, lists = {} }: CommandSpec, listed = true): CommandFields {
  const isListed = (group: readonly string[], name: string) =>
    !listed || (lists[group.join(".")]?.includes(name) ?? true);
  const own = fieldsOf(options).map(
    (field): Field =>
      field.choices === undefined
        ? field
        : { ...field, choices: field.choices.filter((name) => isListed(field.flag, name)) },
  );
  const tables = settingsInFile ? [] : choicesOf(options);
  return {
    own,
    settings: tables.flatMap(({ group, rows }) => settingsOf(rows.filter(({ name }) => isListed(group, name)))),
  };
}

/** The options of a table's rows; rows that call an option alike share its flag. */
function settingsOf(rows: ChoiceGroup["rows"]): Field[] {
  const alike = new Map<string, { name: string; field: Field }[]>();
  for (const { name, fields } of rows) {
    for (const field of fields) {
      const key = field.path.join(".");
      alike.set(key, [...(alike.get(key) ?? []), { name, field }]);
    }
  }
  return [...alike.values()].map((own): Field => {
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
