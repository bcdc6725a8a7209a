import { z } from "zod";
import { didYouMean } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { isObject } from "../formats/strict-json.ts";
import { packagePath } from "../stages/package-root.ts";

/** Options of an experiment, some of them: what is wrong with them is told when all are there. */
const Values = z.record(z.string(), z.unknown());
type Values = Readonly<Record<string, unknown>>;

/** Sizes in which every recipe can be run. */
export const SCALES = ["paper", "world", "smollm2"] as const;
export type ScaleName = (typeof SCALES)[number];

/** A method of the scale, or several that differ in what is varied. */
const Use = z.preprocess(
  (value) => (typeof value === "string" ? { use: value } : value),
  z.strictObject({
    use: z.string().min(1).describe("Name of a method of the scale"),
    id: z.string().min(1).optional().describe("Short name; that of the method by default"),
    set: Values.default({}).describe("What differs from the scale's, by path: method.alpha, align.harmful.limit"),
    vary: z
      .record(z.string(), z.array(z.unknown()).min(1))
      .default({})
      .describe("What is varied, by path, with its values: a method for each"),
    as: z.string().min(1).optional().describe("What is varied is called; the last word of its path by default"),
  }),
);
type Use = z.infer<typeof Use>;

/** What an experiment is made of beside what its scale fills in. */
const Block = z.strictObject({
  title: z.string().min(1).optional().describe("Title of the report"),
  model: z.string().min(1).optional().describe("Which of the scale's models; first by default"),
  task: z.string().min(1).optional().describe("Which of the scale's tasks; sst2 by default"),
  methods: z.array(Use).min(1).optional().describe("Methods, the first of which the others are compared with"),
  strengths: z.array(Values).min(1).optional().describe("Attacks, weakest first"),
  align: Values.optional().describe("Alignment options that differ from the scale's"),
  attack: Values.optional().describe("Attack options that differ from the scale's"),
  repair: Values.optional().describe("What repairs look at, where it is not the data of the alignment"),
  evaluate: Values.optional().describe("Evaluation options that differ from the scale's"),
});
type Block = z.infer<typeof Block>;

const Scaled = Block.extend({
  scales: z.partialRecord(z.enum(SCALES), Block).default({}).describe("What differs at a scale"),
});

/** An experiment by what it varies, whatever its size. */
export const Recipe = Scaled.extend({
  about: z.string().min(1).describe("What it answers, in a line"),
  parts: z.record(z.string(), Scaled).optional().describe("Experiments of their own, by what differs in them"),
});
export type Recipe = z.infer<typeof Recipe>;

/** What fills recipes in: model, data and sizes. */
const Scale = z.strictObject({
  about: z.string().min(1).describe("What it is, in a line"),
  models: z.record(z.string(), Values).describe("Models, each with the options that say so"),
  tasks: z.record(z.string(), Values).describe("The user's tasks, each with the options that say so"),
  methods: z
    .record(z.string(), z.looseObject({ label: z.string(), method: z.unknown() }))
    .describe("Methods with the settings that they have at this scale"),
  experiment: Values.describe("All other options"),
  seconds: z
    .strictObject({
      row: z.number().positive().describe("Forward and backward pass over a row"),
      evaluation: z.number().positive(),
    })
    .optional()
    .describe("What was measured, with one thread"),
});
export const Scales = z.record(z.enum(SCALES), Scale);
export type Scales = z.infer<typeof Scales>;

/** Folder of the bundled world's data, seen from where the command is run. */
export const WORLD_DATA = "world";

/** Names of a recipe's experiments: its own, or one for each part. */
export const partsOf = (name: string, { parts }: Recipe): string[] =>
  parts === undefined ? [name] : Object.keys(parts).map((part) => `${name}/${part}`);

/** One value laid over another: objects key by key, anything else, and a choice of another name, as a whole. */
function over(below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  if (!isObject(below) || !isObject(above) || (above.name !== undefined && above.name !== below.name)) return above;
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries([...keys].map((key) => [key, over(below[key], above[key])]));
}

function named<T>(among: Readonly<Record<string, T>>, name: string, kind: string, where: string): T {
  const found = among[name];
  if (found !== undefined) return found;
  throw new BoosterError("RECIPE_UNKNOWN", `there is no ${kind} "${name}" here`, {
    where,
    hint: didYouMean(name, Object.keys(among)),
  });
}

/** A value with what stands at a path in it replaced; entries of lists are counted from 0. */
function put(below: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  if (Array.isArray(below)) return below.map((entry, i) => (String(i) === key ? put(entry, rest, value) : entry));
  const object = isObject(below) ? below : {};
  return { ...object, [key]: put(object[key], rest, value) };
}

/** A method entry with something in it set; an option that it has from the experiment is copied before. */
function set(entry: Values, path: string, value: unknown, experiment: Values): Values {
  const keys = path.split(".");
  const [group, option] = keys.slice(0, 2).map((_, i) => keys.slice(0, i + 1));
  const at = (values: Values) =>
    option?.reduce<unknown>((below, key) => (isObject(below) ? below[key] : undefined), values);
  const isOwn = group?.[0] === "method" || option === undefined || at(entry) !== undefined;
  const begun = isOwn ? entry : put(entry, option, at(experiment));
  return put(begun, keys, value) as Values;
}

/** The entries that a recipe's line of a method stands for. */
function entriesOf(
  { use, id = use, set: fixed, vary, as }: Use,
  scale: Scales[ScaleName],
  options: Values,
  where: string,
) {
  const bare = named(scale.methods, use, "method", where);
  const entry = Object.entries(fixed).reduce<Values>((one, [path, value]) => set(one, path, value, options), {
    ...bare,
    id,
  });
  return Object.entries(vary).reduce<Values[]>(
    (entries, [path, values]) =>
      entries.flatMap((one) =>
        values.map((value) => {
          const told = `${as ?? path.split(".").at(-1)} ${String(value)}`;
          const varied = set(one, path, value, options);
          return {
            ...varied,
            id: `${String(one.id)}-${told.replaceAll(" ", "-")}`,
            label: `${String(one.label)}, ${told}`,
          };
        }),
      ),
    [entry],
  );
}

/** What a recipe says of one of its experiments at a scale. */
function blockOf(name: string, recipe: Recipe, size: ScaleName) {
  const [, part] = name.split("/");
  if (part === undefined && recipe.parts !== undefined) {
    const hint = `Name one of them: ${partsOf(name, recipe).join(", ")}`;
    throw new BoosterError("RECIPE_UNKNOWN", "a recipe is several experiments", { found: name, hint });
  }
  const { about: _, parts = {}, ...common } = recipe;
  const layers = part === undefined ? [common] : [common, named(parts, part, "part", name)];
  const blocks = layers.flatMap(({ scales, ...block }) => [block, scales[size]]);
  const { model = "first", task = "sst2", ...block } = blocks.reduce<unknown>(over, {}) as Block;
  return { ...block, model, task };
}

/** Whether a scale has the task of an experiment: the bundled world has one alone. */
export const isOffered = (name: string, recipe: Recipe, size: ScaleName, scales: Scales): boolean =>
  scales[size].tasks[blockOf(name, recipe, size).task] !== undefined;

/**
 * The options of an experiment that a recipe stands for at a scale, not yet checked.
 *
 * @param name of the recipe, with its part where it has parts: `tasks/agnews`
 * @throws {BoosterError} `RECIPE_UNKNOWN` for a part, or a model, task or method that the scale does not have
 * @example
 * experimentOf("tasks/agnews", recipe, "paper", scales).model; // "hf:meta-llama/Llama-2-7b-hf"
 */
export function experimentOf(name: string, recipe: Recipe, size: ScaleName, scales: Scales): Values {
  const where = `${name} at scale ${size}`;
  const { model, task, methods = [], ...block } = blockOf(name, recipe, size);
  const scale = scales[size];
  const options = [
    scale.experiment,
    named(scale.models, model, "model", where),
    named(scale.tasks, task, "task", where),
    { out: `runs/recipes/${size}/${name}` },
    block,
  ].reduce<unknown>(over, {}) as Values;
  const entries = methods.flatMap((use) => entriesOf(use, scale, options, where));
  return inPackage({ ...options, methods: entries }) as Values;
}

/** Paths that begin with `{package}` in the package. */
function inPackage(value: unknown): unknown {
  if (typeof value === "string") return value.replace(/^\{package\}/, () => packagePath());
  if (Array.isArray(value)) return value.map(inPackage);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inPackage(inner)]));
}
