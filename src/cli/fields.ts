import { z } from "zod";

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
  /** Choices from a table: objects, each with a name of its own. */
  readonly oneOf?: readonly JsonSchema[];
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

/** The JSON Schema of a command's configuration file, with the short forms allowed: `harmful: rows.jsonl`, `method: lisa`, `methods: [sft]`. */
export const editorSchema = (schema: z.ZodType): JsonSchema => withShortForms(jsonSchemaOf(schema));

function withShortForms(schema: JsonSchema): JsonSchema {
  const { properties, items, anyOf, oneOf } = schema;
  if (items !== undefined) return { ...schema, items: withShortForms(items) };
  if (anyOf !== undefined)
    return { ...schema, anyOf: anyOf.flatMap((form) => withShortForms(form).anyOf ?? withShortForms(form)) };
  if (oneOf !== undefined) return short(schema, [{ type: "string", enum: oneOf.map(nameOf) }, ...oneOf]);
  if (properties === undefined) return schema;
  const long = {
    ...schema,
    properties: Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, withShortForms(one)])),
  };
  const main = onlyNeeded(schema);
  const form = main?.type === "string" ? { type: "string" } : main?.anyOf && withShortForms(main);
  return form === undefined ? long : short(long, [...(form.anyOf ?? [form]), long]);
}

/** Several forms of a property, under its description and default. */
function short({ description, default: byDefault }: JsonSchema, forms: readonly JsonSchema[]): JsonSchema {
  return {
    ...(description === undefined ? {} : { description }),
    ...(byDefault === undefined ? {} : { default: byDefault }),
    anyOf: forms.map(({ description: _, default: __, ...form }) => form),
  };
}

/** The name of a choice from a table. */
const nameOf = ({ properties }: JsonSchema): string => String(properties?.name?.const);

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
    if (property.oneOf !== undefined) return [choiceField(property, [...path, key], needed, byDefault)];
    const field = fieldOf(property, [...path, key], needed, byDefault);
    return [key === main ? { ...field, flag: path, description: schema.description ?? field.description } : field];
  });
}

/** The name behind a flag such as `--method`. */
function choiceField(schema: JsonSchema, path: readonly string[], required: boolean, fallback: unknown): Field {
  const name: JsonSchema = { type: "string", enum: schema.oneOf?.map(nameOf) ?? [] };
  const field = fieldOf(name, [...path, "name"], required, memberOf(schema.default ?? fallback, "name"));
  return { ...field, flag: path, description: schema.description ?? "" };
}

/** A group that chooses from a table, with the settings of each of its names. */
export interface ChoiceGroup {
  readonly group: readonly string[];
  readonly rows: readonly { readonly name: string; readonly fields: readonly Field[] }[];
}

/** The groups of an object that choose from a table; those of lists are not among them, since flags cannot reach these. */
export const choicesOf = (schema: z.ZodType): ChoiceGroup[] => choicesIn(jsonSchemaOf(schema), []);

function choicesIn({ oneOf, properties = {} }: JsonSchema, group: readonly string[]): ChoiceGroup[] {
  if (oneOf === undefined) {
    return Object.entries(properties).flatMap(([key, property]) => choicesIn(property, [...group, key]));
  }
  const rows = oneOf.map((row) => {
    const { name: _, ...settings } = row.properties ?? {};
    const fields = fieldsOfObject({ ...row, properties: settings }, [], true, undefined);
    const below = (keys: readonly string[]) => [...group, ...keys];
    return {
      name: nameOf(row),
      fields: fields.map((field) => ({ ...field, path: below(field.path), flag: below(field.flag) })),
    };
  });
  return [{ group, rows }];
}

/** Keys that an object of a configuration may have, by its path and by what stands there. */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[], values: unknown): string[] {
  let [at, value]: [JsonSchema, unknown] = [jsonSchemaOf(schema), values];
  for (const key of path) {
    at = formOf((typeof key === "number" ? at.items : at.properties?.[String(key)]) ?? {}, memberOf(value, key));
    value = memberOf(value, key);
  }
  return Object.keys(at.properties ?? {});
}

/** Of a schema with several forms, that of a value. */
function formOf(schema: JsonSchema, value: unknown): JsonSchema {
  const { anyOf, oneOf } = schema;
  if (anyOf !== undefined) {
    const form = anyOf.find(({ items }) => Array.isArray(value) === (items !== undefined));
    return form === undefined ? schema : formOf(form, value);
  }
  return oneOf?.find((row) => nameOf(row) === memberOf(value, "name")) ?? schema;
}

const memberOf = (value: unknown, key: PropertyKey): unknown =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<PropertyKey, unknown>>)[key] : undefined;

const isNeeded = ({ required = [], properties = {} }: JsonSchema, key: string): boolean =>
  required.includes(key) && properties[key]?.default === undefined;

/** The one text that a group cannot do without (a path, a name) stands for the group: `--harmful rows.jsonl`. */
function mainKey(schema: JsonSchema): string | undefined {
  const main = onlyNeeded(schema);
  return main?.type === "string"
    ? Object.keys(schema.properties ?? {}).find((key) => schema.properties?.[key] === main)
    : undefined;
}

function onlyNeeded(schema: JsonSchema): JsonSchema | undefined {
  const needed = Object.entries(schema.properties ?? {}).filter(([key]) => isNeeded(schema, key));
  return needed.length === 1 ? needed[0]?.[1] : undefined;
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
