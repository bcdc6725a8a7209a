import type { CommandSpec, NamedOptions } from "./command.ts";
import { type Field, fieldsOf } from "./fields.ts";
import { describeField } from "./flags.ts";

/** What a command takes, as its help and completion list it: its own options, and the settings behind what its tables offer. */
export interface CommandFields {
  readonly own: readonly Field[];
  readonly settings: readonly Field[];
}

/** @param listed only what its tables list for it, not all that they take */
export function commandFields({ options, named = [] }: CommandSpec, listed = true): CommandFields {
  const tables = named
    .filter(({ fileOnly }) => fileOnly !== true)
    .map((table) => (listed ? { ...table, rows: table.rows.filter(isListed(table)) } : table));
  const own = fieldsOf(options).map((field): Field => {
    const table = tables.find(({ group }) => group === field.flag.join(".") && field.flag.length < field.path.length);
    return table === undefined ? field : { ...field, choices: table.rows.map(({ name }) => name) };
  });
  return { own, settings: tables.flatMap(tableFields) };
}

const isListed =
  ({ listed }: NamedOptions) =>
  ({ name }: { readonly name: string }): boolean =>
    listed?.includes(name) ?? true;

/** The options of a table's rows; rows that call an option alike share its flag. */
function tableFields({ group, rows }: NamedOptions): Field[] {
  const alike = new Map<string, { name: string; field: Field }[]>();
  for (const { name, options } of rows) {
    for (const field of fieldsOf(options)) {
      const key = field.path.join(".");
      alike.set(key, [...(alike.get(key) ?? []), { name, field }]);
    }
  }
  return [...alike.values()].map((own): Field => {
    const [first, ...others] = own as [(typeof own)[number], ...typeof own];
    const path = [...group.split("."), ...first.field.path];
    const shared = { ...first.field, path, flag: path, required: false };
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
