import type { Command } from "commander";
import { parse as parseYaml } from "yaml";
import type { Field } from "./fields.ts";

/** `sampleNumber` -> `sample-number` */
const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flag of an option: `--method.learning-rate`. */
export const flagOf = (path: readonly string[]): string => `--${path.map(kebab).join(".")}`;

const PLACEHOLDERS = {
  text: "<text>",
  number: "<number>",
  list: "<a,b,...>",
  structure: "<yaml>",
  boolean: "",
} as const;

/** 5e-5 rather than 0.00005. */
const shown = (value: unknown): string => {
  if (Array.isArray(value)) return value.map(shown).join(",");
  return typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
};

/** Characters of a default that the help has room for; some are whole texts. */
const DEFAULT_SHOWN = 60;

const hasShortDefault = ({ kind, default: value }: Field): boolean =>
  kind !== "structure" &&
  value !== undefined &&
  value !== false &&
  shown(value) !== "" &&
  shown(value).length <= DEFAULT_SHOWN;

/** Flags of every command, beside `--help`. */
export const COMMON_FLAGS = {
  "--config": "YAML file with options; flags win over it",
  "--print-config": "print the resolved options as YAML instead",
  "--offline": "open no connection to the hub: what is in its cache must do",
  "--json": "one JSON object a line, for programs",
  "--help-all": "describe every option, and show more examples",
};

/** What the help says about an option. */
export function describeField(field: Field): string {
  const remarks = [
    ...(field.choices === undefined || field.kind === "boolean" ? [] : [`one of: ${field.choices.join(", ")}`]),
    ...(field.required ? ["required"] : []),
    ...(hasShortDefault(field) ? [`default: ${shown(field.default)}`] : []),
  ];
  return [field.description, ...(remarks.length === 0 ? [] : [`(${remarks.join("; ")})`])].join(" ").trim();
}

const withValue = ({ flag, kind }: Field): string => `${flagOf(flag)} ${PLACEHOLDERS[kind]}`.trim();
const negated = ({ flag }: Field): string => flagOf(flag).replace("--", "--no-");

/** A flag with what it takes; of a boolean the one that changes its default. */
export const flagText = (field: Field): string =>
  field.kind === "boolean" && field.default === true ? negated(field) : withValue(field);

/** Adds a flag for each option; booleans also get the flag that says no. */
export function addFlags(command: Command, fields: readonly Field[]): void {
  for (const field of fields) {
    command.option(withValue(field));
    if (field.kind === "boolean") command.option(negated(field));
  }
}

/** Text that is no number stays text: the schema then says what it wanted. */
const asNumber = (text: string): number | string => {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) ? text : value;
};

/**
 * What the text after a flag means.
 *
 * @throws {YAMLParseError} for a structure that is not YAML
 */
export function readFlag(field: Field, text: string): unknown {
  if (field.kind === "number") return asNumber(text);
  if (field.kind === "list") {
    const parts = text === "" ? [] : text.split(",").map((part) => part.trim());
    return field.entries === "number" ? parts.map(asNumber) : parts;
  }
  return field.kind === "structure" ? parseYaml(text) : text;
}
