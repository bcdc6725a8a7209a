/**
 * Last part of `npm run build`: writes what `.describe()` says of an option above it in the emitted declarations, so that an editor
 * shows it on hover and it is written once.
 *
 * TypeScript prints a schema's type with a line for each option, deeper by one level than the line that opens it. Which schema
 * that is, is told by the names of its options.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { packagePath } from "../src/stages/package-root.ts";

/** Names of options, in any order. */
const keyOf = (names: readonly string[]): string => names.toSorted().join();

type Descriptions = Readonly<Record<string, string>>;

const isSchema = (value: unknown): value is z.ZodType => value instanceof z.ZodType;

/** What is said of a schema, or of what it wraps in a default, an option or a conversion. */
function descriptionOf(schema: z.ZodType): string | undefined {
  const { innerType, in: input, out } = schema.def as { innerType?: z.ZodType; in?: z.ZodType; out?: z.ZodType };
  const inner = [innerType, input, out].filter(isSchema);
  return schema.description ?? inner.map(descriptionOf).find((text) => text !== undefined);
}

/** Descriptions of every object schema that can be reached from a value, by the names of its options. */
function collect(value: unknown, found: Map<string, Descriptions>, seen = new Set<unknown>()): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (!isSchema(value)) {
    for (const part of Object.values(value)) collect(part, found, seen);
    return;
  }
  const { shape } = value.def as { shape?: Readonly<Record<string, z.ZodType>> };
  if (shape !== undefined) {
    const texts = Object.entries(shape).flatMap(([name, schema]) => {
      const text = descriptionOf(schema);
      return text === undefined ? [] : [[name, text] as const];
    });
    found.set(keyOf(Object.keys(shape)), Object.fromEntries(texts));
  }
  for (const part of Object.values(value.def)) collect(part, found, seen);
}

const comment = (indent: string, text: string): string => `${indent}/** ${text.replaceAll("*/", "* /")} */`;

/** The declarations with a comment above each option that is described. */
function documented(text: string, schemas: ReadonlyMap<string, Descriptions>): string {
  const lines = text.split("\n");
  const comments = new Map<number, string>();
  for (const [start, line] of lines.entries()) {
    if (!line.endsWith("{")) continue;
    const indent = /^ */.exec(line)?.[0] ?? "";
    const end = lines.findIndex((other, i) => i > start && other.startsWith(`${indent}}`));
    const options = lines.slice(start + 1, end).flatMap((option, i) => {
      const name = new RegExp(`^${indent}    (?:readonly )?(\\w+)\\??: `).exec(option)?.[1];
      return name === undefined ? [] : [{ name, at: start + 1 + i }];
    });
    const texts = schemas.get(keyOf(options.map(({ name }) => name)));
    for (const { name, at } of options) {
      const said = texts?.[name];
      if (said !== undefined) comments.set(at, comment(`${indent}    `, said));
    }
  }
  return lines.flatMap((line, i) => [...(comments.has(i) ? [comments.get(i)] : []), line]).join("\n");
}

/**
 * What a function is given, spelled out: an editor follows an interface to its comments, where it may lose sight of those
 * behind the types that zod computes.
 */
function inputInterface(name: string, schema: z.ZodObject): string {
  const options = Object.entries(schema.shape as Readonly<Record<string, z.ZodType>>).flatMap(([option, type]) => {
    const text = descriptionOf(type);
    const mark = type._zod.optin === undefined ? "" : "?";
    return [
      ...(text === undefined ? [] : [comment("    ", text)]),
      `    ${option}${mark}: z.input<typeof ${name}>["${option}"];`,
    ];
  });
  return `/** Options of \`${name}\` as they are given. */\nexport interface ${name}Input {\n${options.join("\n")}\n}\n`;
}

/** Functions that are given options, with the interface in the place of the computed type. */
function withInterfaces(text: string): string {
  return text.replace(/^export declare function .*$/gm, (statement) =>
    statement.replace(/z\.input<typeof (\w+)>(?=[,)])/g, (_, name: string) => {
      const from = new RegExp(`import {[^}]*\\b${name}\\b[^}]*} from "(.*)"`).exec(text)?.[1];
      return from === undefined ? `${name}Input` : `import("${from}").${name}Input`;
    }),
  );
}

const root = packagePath("dist", "src");
/** What an older build left behind has none. */
const sourceOf = (declarations: string): string => packagePath("src", declarations.replace(/\.d\.ts$/, ".ts"));

let written = 0;
for (const file of readdirSync(root, { recursive: true, encoding: "utf8" })) {
  const path = join(root, file);
  if (!file.endsWith(".d.ts") || file.startsWith("cli") || !existsSync(sourceOf(file))) continue;
  const text = withInterfaces(readFileSync(path, "utf8"));
  if (!text.includes("ZodObject<{")) {
    writeFileSync(path, text);
    continue;
  }
  const exported = { ...(await import(path.replace(/\.d\.ts$/, ".js"))) } as Readonly<Record<string, unknown>>;
  const schemas = new Map<string, Descriptions>();
  collect(exported, schemas);
  const result = documented(text, schemas);
  const inputs = Object.entries(exported).flatMap(([name, value]) =>
    value instanceof z.ZodObject && text.includes(`export declare const ${name}: `)
      ? [inputInterface(name, value)]
      : [],
  );
  writeFileSync(path, `${result}${inputs.join("")}`);
  written += result.split("\n").length - text.split("\n").length;
}
if (written === 0) throw new Error("no option is documented: the declarations have another form");
