import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { fitting } from "../../errors.ts";
import { TEMPLATES } from "../../models/model-file.ts";
import { modelIdentity } from "../../models/source.ts";

/** What a base says of itself beside its weights. */
export const BASE_FILE = "base.json";

const Positive = z.number().positive();
/** How the base was made and how users' adapters on it are trained. */
export const BaseCard = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/, "1 to 64 letters, digits, _, - or ., no . first"),
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
