import { type Command, Option } from "commander";
import { stringify } from "yaml";
import { BoosterError } from "../errors.ts";
import type { CommandSpec, NamedOptions } from "./command.ts";
import { readConfigFile } from "./config-file.ts";
import { type Field, fieldsOf } from "./fields.ts";
import { addFlags, describeField, flagOf, readFlag } from "./flags.ts";
import { Output } from "./output.ts";
import { type GivenFlag, resolveConfig } from "./resolve-config.ts";

/** All options of a command, those of its tables included. */
export function commandFields(spec: CommandSpec): Field[] {
  const tables = (spec.named ?? []).filter(({ fileOnly }) => fileOnly !== true);
  const own = fieldsOf(spec.options).map((field): Field => {
    const table = tables.find(({ group }) => group === field.flag.join(".") && field.flag.length < field.path.length);
    return table === undefined ? field : { ...field, choices: table.rows.map(({ name }) => name) };
  });
  return [...own, ...tables.flatMap(tableFields)];
}

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

/** Gives a command its flags, its help and its work. */
export function buildCommand(command: Command, spec: CommandSpec, exitWith: (code: number) => void): void {
  const fields = commandFields(spec);
  const positional = (spec.positional ?? []).map((name) => fields.find(({ path }) => path.join(".") === name)!);
  for (const field of positional) {
    const name = field.path.at(-1) ?? "";
    command.argument(`[${name}]`, `${describeField(field)}; also ${flagOf(field.flag)}`);
  }
  addFlags(command, fields, positional);
  const common = (flags: string, text: string) => new Option(flags, text).helpGroup("Every command:");
  command
    .addOption(common("--config <file>", "YAML file with options; flags win over it"))
    .addOption(common("--print-config", "print the resolved options as YAML and do nothing else"))
    .addOption(common("--json", "one JSON object a line instead of text"))
    .addHelpText("before", `${spec.details}\n`)
    .addHelpText("after", examplesText(spec));
  command.action(async (...args: unknown[]) => {
    const given: Readonly<Record<string, unknown>> = command.opts();
    const texts = args.slice(0, positional.length);
    const flags = [
      ...positional.flatMap((field, i) => read(field, texts[i])),
      ...fields.flatMap((field) => read(field, given[attribute(field)])),
    ];
    const file = typeof given.config === "string" ? readConfigFile(given.config) : undefined;
    const options = resolveConfig(spec.options, fields, file, flags, spec.named);
    if (given.printConfig === true) {
      process.stdout.write(given.json === true ? `${JSON.stringify(options)}\n` : stringify(options));
      return;
    }
    const typed = ["booster", ...process.argv.slice(2).map(quoted)].join(" ");
    await spec.run(options, { output: new Output(given.json === true), typed, exitWith });
  });
}

/** An argument as a shell takes it. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The name under which commander keeps a flag's value: dots stay, dashes become capitals, as in the schema. */
const attribute = (field: Field): string => field.flag.join(".");

function read(field: Field, given: unknown): GivenFlag[] {
  if (given === undefined) return [];
  if (typeof given !== "string") return [{ path: field.path, value: given }];
  try {
    return [{ path: field.path, value: readFlag(field, given) }];
  } catch (cause) {
    throw new BoosterError("CONFIG_INVALID", `--${attribute(field)} is not YAML`, {
      found: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

function examplesText({ examples }: CommandSpec): string {
  const lines = examples.map(([line, why]) => `  # ${why}\n  ${line}`);
  return lines.length === 0 ? "" : `\nExamples:\n${lines.join("\n")}`;
}
