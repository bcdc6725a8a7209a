import type { Command } from "commander";
import { stringify } from "yaml";
import { BoosterError } from "../errors.ts";
import type { CommandSpec } from "./command.ts";
import { commandFields } from "./command-fields.ts";
import { readConfigFile } from "./config-file.ts";
import type { Field } from "./fields.ts";
import { addFlags, COMMON_FLAGS, readFlag } from "./flags.ts";
import { commandHelp } from "./help.ts";
import { Output } from "./output.ts";
import { type GivenFlag, resolveConfig } from "./resolve-config.ts";

/** Gives a command its flags, its help and its work. */
export function buildCommand(
  name: string,
  command: Command,
  spec: CommandSpec,
  exitWith: (code: number) => void,
): void {
  const { own, settings, source } = commandFields(spec, false);
  const fields = [...own, ...settings];
  const positional = (spec.positional ?? []).map((name) => fields.find(({ path }) => path.join(".") === name)!);
  // A list takes all that is left.
  for (const { flag, kind } of positional) command.argument(`[${flag.join(".")}${kind === "list" ? "..." : ""}]`);
  addFlags(command, [...fields, ...source]);
  let all = false;
  for (const flag of Object.keys(COMMON_FLAGS)) command.option(flag === "--config" ? `${flag} <file>` : flag);
  command.configureHelp({ formatHelp: () => commandHelp(name, spec, commandFields(spec), command.opts(), all) });
  command.action(async (...args: unknown[]) => {
    const given: Readonly<Record<string, unknown>> = command.opts();
    all = given.helpAll === true;
    if (all) return command.outputHelp();
    const texts = args.slice(0, positional.length);
    const flags = [...positional.flatMap((field, i) => read(field, texts[i])), ...flagsOf(fields, given)];
    const written = typeof given.config === "string" ? readConfigFile(given.config) : undefined;
    const asked = spec.source && resolveConfig(spec.source.options, source, undefined, flagsOf(source, given));
    const named = asked && spec.source?.read(asked);
    if (written !== undefined && named !== undefined) {
      throw new BoosterError("OPTIONS_CONFLICT", "options come from one file", {
        found: `${written.path}, ${named.path}`,
      });
    }
    const options = resolveConfig(spec.options, fields, written ?? named, flags);
    if (given.printConfig === true) {
      process.stdout.write(given.json === true ? `${JSON.stringify(options)}\n` : stringify(options));
      return;
    }
    if (given.offline === true) process.env.HF_HUB_OFFLINE = "1";
    if (asked !== undefined) spec.source?.prepare(asked, options);
    const output = new Output(given.json === true);
    const chosen = await withReferences(spec, options, output);
    const typed = ["booster", ...process.argv.slice(2).map(quoted)].join(" ");
    await spec.run(chosen, { output, typed, exitWith });
  });
}

/** Options whose references to the hub are in its cache; without any, nothing that downloads is loaded. */
async function withReferences(spec: CommandSpec, options: unknown, { progress }: Output): Promise<unknown> {
  if (!/"hf(?:-data)?:/.test(JSON.stringify(options))) return options;
  const { resolveReferences } = await import("../hub/resolve.ts");
  const resolved = await resolveReferences(spec.options, options as object, { emit: (event) => progress.show(event) });
  progress.finish();
  return resolved;
}

/** An argument as a shell takes it. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The name under which commander keeps a flag's value: dots stay, dashes become capitals, as in the schema. */
const attribute = (field: Field): string => field.flag.join(".");

const flagsOf = (fields: readonly Field[], given: Readonly<Record<string, unknown>>): GivenFlag[] =>
  fields.flatMap((field) => read(field, given[attribute(field)]));

function read(field: Field, given: unknown): GivenFlag[] {
  if (given === undefined || (Array.isArray(given) && given.length === 0)) return [];
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
