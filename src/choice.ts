import { z } from "zod";
import type { ErrorCode } from "./error-codes.ts";
import { fitting, rowNamed } from "./errors.ts";

/** What can be chosen by its name, with settings of its own: a row of a table. A row may say more of itself. */
export interface Choice<Name extends string = string, Options extends z.ZodObject = z.ZodObject, Made = unknown> {
  readonly name: Name;
  readonly options: Options;
  /** What it makes of settings that are checked and complete. */
  create(options: z.output<Options>): Made;
}

/** Ties a row's settings to what it makes of them, and keeps its name as a literal. */
export const choice = <const Name extends string, Options extends z.ZodObject, Made>(
  row: Choice<Name, Options, Made>,
): Choice<Name, Options, Made> => row;

/** What the choices of a table are called in messages, and the codes of its two errors. */
export interface Kind {
  readonly kind: string;
  /** Code for a name that the table does not have. */
  readonly unknown: ErrorCode;
  /** Code for settings that do not fit. */
  readonly unfit: ErrorCode;
}

/** Choices of one kind, e.g. `METHODS`. */
export interface Table<Row extends Choice = Choice> extends Kind {
  readonly rows: readonly Row[];
}

export const table = <Row extends Choice>(kind: Kind, rows: readonly Row[]): Table<Row> => ({ ...kind, rows });

/** A choice as data: a name and settings. */
export interface Named {
  readonly name: string;
  readonly [setting: string]: unknown;
}

/**
 * What a choice makes, its settings checked and completed.
 *
 * @throws {BoosterError} the table's codes for a name that it does not have and for settings that do not fit
 * @example
 * choose(OPTIMIZERS, { name: "sgd", momentum: 0.9 })(0.1);
 */
export const choose = <Row extends Choice>(from: Table<Row>, chosen: Named): ReturnType<Row["create"]> =>
  rowOf(from, chosen.name).create(settingsOf(from, chosen)) as ReturnType<Row["create"]>;

/** The settings of a choice, completed. Throws as `choose` does. */
export const settingsOf = (from: Table, { name, ...settings }: Named): Readonly<Record<string, unknown>> =>
  fitting(rowOf(from, name).options, settings, from.unfit, `these options do not fit ${name}`);

/** The settings of a choice that are not those that it has by itself. */
export function settingsBeside(from: Table, { name, ...settings }: Named): Readonly<Record<string, unknown>> {
  const { shape } = rowOf(from, name).options;
  const isOwn = ([key, value]: [string, unknown]) =>
    JSON.stringify(shape[key]?.safeParse(undefined).data) !== JSON.stringify(value);
  return Object.fromEntries(Object.entries(settings).filter(isOwn));
}

/** The choice of that name. Throws the table's code for an unknown one. */
export const rowOf = <Row extends Choice>({ rows, kind, unknown }: Table<Row>, name: string): Row =>
  rowNamed(rows, name, unknown, `no such ${kind}`);

/** A row's settings under its name. */
type Chosen<Row extends Choice> = Row extends Choice
  ? z.ZodObject<{ name: z.ZodLiteral<Row["name"]> } & Row["options"]["shape"], z.core.$strict>
  : never;

type OneOf<Row extends Choice> = z.ZodType<z.output<Chosen<Row>>, Row["name"] | z.input<Chosen<Row>>>;

/**
 * The schema of a choice from a table: a name, or a name with settings; checked and completed it is `{ name, ...settings }`.
 *
 * @example
 * oneOf(OPTIMIZERS).parse("sgd"); // { name: "sgd", momentum: 0 }
 */
export function oneOf<Row extends Choice>({ rows, kind }: Table<Row>): OneOf<Row> {
  const named = rows.map(({ name, options }) =>
    z.strictObject(
      { name: z.literal(name), ...options.shape },
      {
        error: ({ code, keys }) =>
          code === "unrecognized_keys"
            ? `${name} has no setting ${(keys as string[]).join(", ")}. ${didYouMean((keys as string[])[0] ?? "", Object.keys(options.shape))}`
            : undefined,
      },
    ),
  );
  const names = rows.map(({ name }) => name);
  const anyOf = z.discriminatedUnion("name", named as [(typeof named)[number], ...typeof named], {
    error: ({ code, input }) =>
      code === "invalid_union"
        ? `there is no ${kind} "${(input as Named).name}". ${didYouMean(String((input as Named).name), names)}`
        : "a name, or a name with settings",
  });
  const short = (value: unknown) => (typeof value === "string" ? { name: value } : value);
  return z.preprocess(short, anyOf) as unknown as OneOf<Row>;
}

/** What an option means beside its type; it may mean several things. */
type Mark = "file" | "model" | "operational";
const MARKS = z.registry<{ readonly marks: readonly Mark[] }>();

/** An option that holds the path of a file, or a pattern of such: what the file holds counts, not what it is called. */
export const file = <Schema extends z.ZodType>(schema: Schema): Schema => marked(schema, "file");

/** An option that names a model or an adapter. */
export const model = <Schema extends z.ZodType>(schema: Schema): Schema => marked(schema, "model");

/** An option that says where or on what something is computed, not what: it is no part of what is computed. */
export const operational = <Schema extends z.ZodType>(schema: Schema): Schema => marked(schema, "operational");

function marked<Schema extends z.ZodType>(schema: Schema, mark: Mark): Schema {
  MARKS.add(schema, { marks: [...(MARKS.get(schema)?.marks ?? []), mark] });
  return schema;
}

const hasMark = (schema: z.core.$ZodType, mark: Mark): boolean =>
  MARKS.get(schema as z.ZodType)?.marks.includes(mark) === true;

export const isOperational = (schema: z.ZodType): boolean => hasMark(schema, "operational");

/** A value that stands in options, and where. */
export interface Place {
  readonly path: readonly (string | number)[];
  readonly text: string;
}

/** Values that options, checked and complete, hold where their schema has a mark. */
export function placesOf(mark: Mark, schema: z.core.$ZodType, value: unknown, path: Place["path"] = []): Place[] {
  if (value === undefined || value === null) return [];
  if (hasMark(schema, mark)) return [{ path, text: value as string }];
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "optional":
    case "nonoptional":
    case "default":
    case "nullable":
      return placesOf(mark, def.innerType, value, path);
    case "pipe":
      return placesOf(mark, def.out, value, path);
    case "array":
      return (value as unknown[]).flatMap((entry, i) => placesOf(mark, def.element, entry, [...path, i]));
    case "union": {
      const form = def.options.find((form) => z.safeParse(form, value).success) as z.core.$ZodType;
      return placesOf(mark, form, value, path);
    }
    case "object":
      return Object.entries(def.shape).flatMap(([name, inner]) =>
        placesOf(mark, inner, (value as Readonly<Record<string, unknown>>)[name], [...path, name]),
      );
    default:
      return [];
  }
}

/** Paths that options, checked and complete, hold where their schema says `file`. */
export const filesIn = (schema: z.core.$ZodType, value: unknown): string[] =>
  placesOf("file", schema, value).map(({ text }) => text);

/** Faults of a value; of one that may have several forms, those of the form that it has. */
export const faultsOf = (issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] =>
  issues.flatMap((issue) => {
    if (issue.code !== "invalid_union") return [issue];
    const isOther = ({ code, path }: z.core.$ZodIssue) => code === "invalid_type" && path.length === 0;
    const faults = issue.errors.find((form) => !form.some(isOther));
    return faults === undefined
      ? [issue]
      : faultsOf(faults.map((fault) => ({ ...fault, path: [...issue.path, ...fault.path] })));
  });

/** Insertions, deletions, substitutions and exchanges of two neighbours that turn `a` into `b` (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const exchange = exchanged ? beforeLast[j - 2]! + 1 : Infinity;
      row.push(Math.min(substitution, exchange, last[j]! + 1, row[j - 1]! + 1));
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** Of the names, the one most like what was typed; undefined where none is like it. */
export function closest(typed: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, distance: editDistance(typed.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  // A third of the letters wrong still reads as a slip; more does not.
  return best !== undefined && best.distance <= Math.max(1, Math.floor(typed.length / 3)) ? best.name : undefined;
}

/** The hint for a name that does not exist: the closest one, or all there are. */
export function didYouMean(typed: string, names: readonly string[]): string {
  const name = closest(typed, names);
  return name === undefined ? `Known are: ${names.join(", ")}` : `Did you mean ${name}?`;
}
