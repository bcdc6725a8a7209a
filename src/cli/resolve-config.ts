import type { z } from "zod";
import { didYouMean, faultsOf } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { isObject } from "../formats/strict-json.ts";
import type { ConfigFile } from "./config-file.ts";
import { type Field, keysAt } from "./fields.ts";
import { flagOf } from "./flags.ts";

/** A value from the command line: the option's path and what was given for it. */
export interface GivenFlag {
  readonly path: readonly string[];
  readonly value: unknown;
}

type Values = Record<string, unknown>;

/** The values of the file with those of the flags laid over them; neither is changed. */
function overlay(file: Readonly<Values>, fields: readonly Field[], flags: readonly GivenFlag[]): Values {
  const merged: Values = structuredClone(file);
  for (const { path, flag } of fields) {
    // `harmful: rows.jsonl` is short for `harmful: { path: rows.jsonl }`.
    if (flag.length === path.length) continue;
    const within = (value: unknown, key: string) => (isObject(value) ? value[key] : undefined);
    const parent = flag.slice(0, -1).reduce<unknown>(within, merged);
    const group = flag.at(-1) ?? "";
    if (isObject(parent) && typeof parent[group] === "string") parent[group] = { [path.at(-1) ?? ""]: parent[group] };
  }
  for (const { path, value } of flags) {
    let parent = merged;
    for (const key of path.slice(0, -1)) {
      const child = parent[key];
      const next: Values = isObject(child) ? child : {};
      parent[key] = next;
      parent = next;
    }
    parent[path.at(-1) ?? ""] = value;
  }
  return merged;
}

/**
 * The options that a command runs with: defaults of the schema, over them the file, over them the flags.
 *
 * @throws {BoosterError} `UNKNOWN_OPTION` for a key of the file that no option has; `OPTION_MISSING`; `CONFIG_INVALID` with
 * every value that cannot be used and where it stands, and for a name that its table does not have
 */
export function resolveConfig<S extends z.ZodType>(
  schema: S,
  fields: readonly Field[],
  file: ConfigFile | undefined,
  flags: readonly GivenFlag[],
): z.output<S> {
  const merged = overlay(file?.values ?? {}, fields, flags);
  const parsed = schema.safeParse(merged, { reportInput: true });
  if (parsed.success) return parsed.data;
  // One error for all that is wrong, in the order in which it was found.
  const faults = faultsOf(parsed.error.issues).flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      const names = keysAt(schema, issue.path, merged);
      return issue.keys.map((key) => unknownKey([...issue.path, key], didYouMean(key, names), file));
    }
    if (issue.input === undefined && issue.code !== "custom") return [missingOption(issue, fields)];
    return [invalid(issue, fields, file, flags)];
  });
  const [first, ...others] = faults as [BoosterError, ...BoosterError[]];
  if (others.length === 0) throw first;
  const code = others.every((fault) => fault.code === first.code) ? first.code : "CONFIG_INVALID";
  const lines = faults.map(({ message }) => `\n  ${message}`);
  throw new BoosterError(code, `${faults.length} options cannot be used${lines.join("")}`);
}

function unknownKey(path: readonly PropertyKey[], hint: string, file: ConfigFile | undefined): BoosterError {
  const keys = path.map(String);
  const where = file?.placeOf(path) ?? flagOf(keys);
  return new BoosterError("UNKNOWN_OPTION", `there is no option "${keys.join(".")}"`, { where, hint });
}

function missingOption(issue: z.core.$ZodIssue, fields: readonly Field[]): BoosterError {
  const path = issue.path.map(String);
  const field = fields.find((candidate) => candidate.path.join(".") === path.join("."));
  // A whole group may be missing: then the first option in it that has no default stands for it.
  const first = fields.find((candidate) => candidate.required && path.every((key, i) => candidate.path[i] === key));
  const named = field ?? first;
  const details = named?.description ? { expected: named.description } : {};
  return new BoosterError("OPTION_MISSING", `${flagOf(named?.flag ?? path)} is needed`, details);
}

function invalid(
  issue: z.core.$ZodIssue,
  fields: readonly Field[],
  file: ConfigFile | undefined,
  flags: readonly GivenFlag[],
): BoosterError {
  // A name that its table does not have is a fault of the choice, which may be written without the word "name".
  const isName = issue.code === "invalid_union" && issue.path.at(-1) === "name";
  const path = isName ? issue.path.slice(0, -1) : issue.path;
  const keys = path.map(String);
  const inFlags = flags.some(
    (flag) => flag.path.every((key, i) => issue.path[i] === key) && flag.path.length <= issue.path.length,
  );
  const place = inFlags || file === undefined ? "" : ` at ${file.placeOf(path)}`;
  const flag = fields.find((field) => field.path.join(".") === keys.join("."))?.flag ?? keys;
  const name = place === "" ? flagOf(flag) : keys.join(".");
  const value = isName || issue.input === undefined ? "" : ` is ${shorten(issue.input)}`;
  const subject = keys.length === 0 ? "options" : `${name}${value}`;
  return new BoosterError("CONFIG_INVALID", `${subject}: ${issue.message}${place}`);
}

function shorten(value: unknown): string {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
