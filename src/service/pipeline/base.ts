import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { rowOf } from "../../choice.ts";
import { fitting } from "../../errors.ts";
import { inChild, WORKER } from "../../experiments/in-child.ts";
import { DEFENCES } from "../../methods/registry.ts";
import { TEMPLATES } from "../../models/model-file.ts";
import { modelIdentity } from "../../models/source.ts";
import { merge } from "../../stages/merge.ts";
import { AlignOptions, parseOptions } from "../../stages/options.ts";
import { bundledModel } from "../../stages/package-root.ts";
import { WORLD_FILES, writeWorldData } from "../../stages/world-files.ts";
import { WORLD_RECIPE } from "../../stages/world-recipe.ts";
import type { Following } from "../../train/index.ts";

/** What a base says of itself beside its weights. */
export const BASE_FILE = "base.json";

const Positive = z.number().positive();
/** How the base was made and how users' adapters on it are trained. */
export const BaseCard = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/),
  /** Null: nothing is known of an alignment. */
  alignment: z.strictObject({ method: z.looseObject({ name: z.string() }), seed: z.int() }).nullable(),
  template: z.enum(TEMPLATES),
  /** Of an adapter with multiplier 1. */
  learningRate: Positive,
  loraRank: z.int().positive(),
  loraAlpha: Positive,
  targetModules: z.array(z.string()).min(1).optional(),
});
export type BaseCard = z.infer<typeof BaseCard>;

/** A base in a folder: a model with its alignment multiplied in, and what it says of itself. */
export interface BaseFolder {
  readonly folder: string;
  readonly card: BaseCard;
  /** Of the weights, configuration and tokenizer: one for the engine, the trainer and the evaluator. */
  readonly identity: string;
  /** Names of its files. */
  readonly files: readonly string[];
}

/**
 * Reads a base.
 *
 * @throws {BoosterError} `BASE_INVALID`, and what hashing a model throws
 */
export async function readBase(folder: string): Promise<BaseFolder> {
  const files = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
  const text = files.includes(BASE_FILE) ? readFileSync(join(folder, BASE_FILE), "utf8") : "null";
  const card = fitting(BaseCard, JSON.parse(text), "BASE_INVALID", "the folder holds no base", { where: folder });
  return { folder, card, identity: await modelIdentity(folder), files: files.sort() };
}

/** How the bundled world is aligned for the service: by its recipe, with the first of its seeds. */
const METHODS = { "world-booster": "booster", "world-sft": "sft" } as const;
/** The middle one of the strengths at which the recipe attacks: the task is learnt, and the defence holds. */
const LEARNING_RATE = WORLD_RECIPE.strengths[2];

/**
 * The bundled world's model aligned with Booster, or with SFT, made in this folder unless it is there: a minute's work, in a process of its own.
 *
 * @throws {BoosterError} what `align` and `merge` throw
 * @example
 * const base = await bundledBase("data/bases/world-booster", "world-booster", { emit: console.log });
 */
export async function bundledBase(
  folder: string,
  name: keyof typeof METHODS,
  following: Following = {},
  worker: URL | string = WORKER,
): Promise<BaseFolder> {
  if (existsSync(folder)) return readBase(folder);
  const making = `${folder}.making`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const [seed] = WORLD_RECIPE.seeds;
  const data = join(making, "data");
  writeWorldData(data, [seed]);
  const file = (kind: keyof typeof WORLD_FILES) => join(data, WORLD_FILES[kind].replace("{seed}", String(seed)));
  const { align = {}, ...settings } = (rowOf(DEFENCES, METHODS[name]).tried[0] ?? {}) as { align?: object };
  const options = parseOptions(
    AlignOptions,
    {
      run: join(making, "run"),
      model: bundledModel(),
      template: "chat",
      ...WORLD_RECIPE.lora,
      ...WORLD_RECIPE.alignment,
      ...align,
      method: { name: METHODS[name], ...settings },
      alignment: file("alignment"),
      harmful: file("harmful"),
      avoid: [file("testHarmful"), file("testHarmless"), file("testReviews")],
      seed,
      threads: 1,
    },
    "align",
  );
  await inChild("align", options, following, worker);
  const out = join(making, "base");
  await merge({ model: join(making, "run"), out }, following);
  const card: BaseCard = {
    version: 1,
    name,
    alignment: { method: options.method, seed },
    template: "chat",
    learningRate: LEARNING_RATE,
    ...WORLD_RECIPE.lora,
  };
  writeFileSync(join(out, BASE_FILE), `${JSON.stringify(BaseCard.parse(card), undefined, 2)}\n`);
  renameSync(out, folder);
  rmSync(making, { recursive: true });
  return readBase(folder);
}
