import { z } from "zod";
import type { NamedOptions } from "./command.ts";

/** One option of a command, whichever face it wears: flag, YAML key or JSON Schema property. */
export interface Field {
  /** Keys from the root of the configuration, e.g. `["method", "lambda"]`. */
  readonly path: readonly string[];
  /** Keys that its flag is made of: of `["alignment", "path"]` only `["alignment"]`, where the rest goes without saying. */
  readonly flag: readonly string[];
  readonly description: string;
  readonly kind: "text" | "number" | "boolean" | "list" | "structure";
  /** Kind of a list's entries. */
  readonly entries?: "text" | "number";
  readonly choices?: readonly string[];
  readonly default?: unknown;
  readonly required: boolean;
}

/** What of JSON Schema the option schemas use. */
interface JsonSchema {
  readonly $schema?: string;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly const?: unknown;
}

/** The JSON Schema of what a configuration may contain (defaults may be left out). */
function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override({ zodSchema, jsonSchema }) {
      // Lost otherwise where the default stands around a preprocessing step.
      if (zodSchema._zod.def.type === "default") jsonSchema.default = zodSchema._zod.def.defaultValue as never;
    },
  }) as JsonSchema;
}

/**
 * The JSON Schema of a command's configuration file, with the short forms `harmful: rows.jsonl` allowed, and with the settings
 * of everything that is chosen from a table by name.
 */
export function editorSchema(schema: z.ZodType, named: readonly NamedOptions[] = []): JsonSchema {
  const whole = named.reduce(
    (found, table) => withChoices(found, table.group.split("."), table.rows),
    jsonSchemaOf(schema),
  );
  return { ...whole, properties: withShortForms(whole.properties ?? {}) };
}

/** The schema with the group at that path replaced by its table: a name, or a name with its settings. */
function withChoices(schema: JsonSchema, path: readonly string[], rows: NamedOptions["rows"]): JsonSchema {
  const [key = "", ...rest] = path;
  if (path.length === 0) {
    const { description, default: byDefault, anyOf = [] } = schema;
    return {
      ...(description === undefined ? {} : { description }),
      ...(byDefault === undefined ? {} : { default: byDefault }),
      // Where a list of them is allowed too it stays, for the group of its entries.
      anyOf: [...choices(rows), ...anyOf.filter(({ items }) => items !== undefined)],
    };
  }
  if (key === "*") {
    if (schema.items !== undefined) return { ...schema, items: withChoices(schema.items, rest, rows) };
    if (schema.anyOf === undefined) return schema;
    return { ...schema, anyOf: schema.anyOf.map((branch) => withChoices(branch, path, rows)) };
  }
  const property = schema.properties?.[key];
  if (property === undefined) return schema;
  return { ...schema, properties: { ...schema.properties, [key]: withChoices(property, rest, rows) } };
}

function choices(rows: NamedOptions["rows"]): JsonSchema[] {
  const objects = rows.map(({ name, options }) => {
    const { $schema: _, ...settings } = jsonSchemaOf(options);
    const properties = { name: { const: name }, ...settings.properties };
    return { ...settings, properties, required: ["name", ...(settings.required ?? [])] };
  });
  return [{ type: "string", enum: rows.map(({ name }) => name) }, ...objects];
}

const withShortForms = (properties: Readonly<Record<string, JsonSchema>>): Record<string, JsonSchema> =>
  Object.fromEntries(Object.entries(properties).map(([key, property]) => [key, withShortForm(property)]));

function withShortForm(schema: JsonSchema): JsonSchema {
  if (schema.items !== undefined) return { ...schema, items: withShortForm(schema.items) };
  if (schema.properties === undefined) return schema;
  const long = { ...schema, properties: withShortForms(schema.properties) };
  if (mainKey(schema) === undefined) return long;
  const { description, default: byDefault, ...object } = long;
  return {
    ...(description === undefined ? {} : { description }),
    ...(byDefault === undefined ? {} : { default: byDefault }),
    anyOf: [{ type: "string" }, object],
  };
}

/**
 * The options that a zod object has, nested ones included, in the order in which they are declared.
 *
 * @example
 * fieldsOf(z.strictObject({ method: z.strictObject({ lambda: z.number().default(5) }) }));
 * // [{ path: ["method", "lambda"], kind: "number", default: 5, ... }]
 */
export const fieldsOf = (schema: z.ZodType): Field[] => fieldsOfObject(jsonSchemaOf(schema), [], true, undefined);

function fieldsOfObject(schema: JsonSchema, path: readonly string[], required: boolean, fallback: unknown): Field[] {
  const defaults = schema.default ?? fallback;
  const main = path.length === 0 ? undefined : mainKey(schema);
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]): Field[] => {
    const needed = required && isNeeded(schema, key);
    const byDefault = memberOf(defaults, key);
    if (property.properties !== undefined) return fieldsOfObject(property, [...path, key], needed, byDefault);
    const field = fieldOf(property, [...path, key], needed, byDefault);
    return [key === main ? { ...field, flag: path, description: schema.description ?? field.description } : field];
  });
}

const memberOf = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;

const isNeeded = ({ required = [], properties = {} }: JsonSchema, key: string): boolean =>
  required.includes(key) && properties[key]?.default === undefined;

/** The one text that a group cannot do without (a path, a name) stands for the group: `--harmful rows.jsonl`. */
function mainKey(schema: JsonSchema): string | undefined {
  const needed = Object.keys(schema.properties ?? {}).filter((key) => isNeeded(schema, key));
  const [only] = needed;
  return needed.length === 1 && only !== undefined && schema.properties?.[only]?.type === "string" ? only : undefined;
}

function fieldOf(schema: JsonSchema, path: readonly string[], required: boolean, fallback: unknown): Field {
  const byDefault = schema.default ?? fallback;
  const entries = schema.items === undefined ? undefined : entriesOf(schema.items);
  return {
    path,
    flag: path,
    description: schema.description ?? "",
    kind: entries === "structure" ? "structure" : kindOf(schema),
    ...(entries === undefined || entries === "structure" ? {} : { entries }),
    ...(schema.enum === undefined ? {} : { choices: schema.enum.map(String) }),
    ...(byDefault === undefined ? {} : { default: byDefault }),
    required: required && byDefault === undefined,
  };
}

function kindOf({ type }: JsonSchema): Field["kind"] {
  if (type === "array") return "list";
  if (type === "number" || type === "integer") return "number";
  if (type === "boolean") return "boolean";
  return type === "object" ? "structure" : "text";
}

function entriesOf(items: JsonSchema): "text" | "number" | "structure" {
  const kind = kindOf(items);
  if (kind === "number" || kind === "text") return kind;
  return mainKey(items) === undefined ? "structure" : "text";
}
