import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { oneOf } from "../../choice.ts";
import { METHODS } from "../../methods/registry.ts";
import { TEMPLATES } from "../../models/model-file.ts";
import { align } from "../../stages/align.ts";
import { merge } from "../../stages/merge.ts";
import { AlignOptions, parseOptions, TrainingOptions } from "../../stages/options.ts";
import type { Following } from "../../train/index.ts";
import { BASE_FILE, BaseCard, type BaseFolder, readBase } from "./base.ts";

const { epochs, steps, batchSize, learningRate } = TrainingOptions.shape;
const { name, loraRank, loraAlpha, targetModules } = BaseCard.shape;

/** A base as somebody asks for it. */
export const BaseWish = z.strictObject({
  name: name.describe("What jobs and requests will call it"),
  model: z
    .string()
    .min(1)
    .max(1024)
    .describe("Folder or run on the server's host, a base of another server among them, or hf:org/name[@revision]"),
  template: z.enum(TEMPLATES).optional().describe("What conversations are written in. Default: chat"),
  learningRate: BaseCard.shape.learningRate.optional().describe("Of users' adapters, multiplier 1. Default: 2e-4"),
  loraRank: loraRank.optional().describe("Of users' adapters. Default: 16"),
  loraAlpha: loraAlpha.optional().describe("Of users' adapters. Default: 16"),
  targetModules: targetModules.describe("Linear layers that users' adapters change"),
  align: z
    .strictObject({
      policy: z.string().min(1).max(100).default("default").describe("Policy whose own data it learns from"),
      method: oneOf(METHODS).prefault({ name: "booster" }).describe("Alignment method, with its own settings"),
      epochs,
      steps,
      batchSize,
      learningRate,
      seed: z.int().min(0).default(1).describe("Of all that is drawn"),
    })
    .optional()
    .describe("Align the model here, with the data of a policy; without it, it is taken as it is"),
});
export type BaseWish = z.output<typeof BaseWish>;

/** Where nobody says otherwise: as the bundled base has it. */
const USUAL = { template: "chat", learningRate: 2e-4, loraRank: 16, loraAlpha: 16 } as const;

/** A base to be made. */
export interface Making extends Omit<BaseWish, "align"> {
  /** Folder that is made; nothing is there before all of it is. */
  readonly folder: string;
  /** How it is aligned first. */
  readonly align?: Omit<z.input<typeof AlignOptions>, "run" | "model" | "template">;
}

/**
 * A model with all that is merged into it and what it says of itself. What is a base already keeps its word on its alignment.
 *
 * @throws {BoosterError} what `align` and `merge` throw
 */
export async function makeBase(
  { folder, model, align: options, name, ...wanted }: Making,
  following: Following = {},
): Promise<BaseFolder> {
  // No base is called so: a name begins with no dot.
  const making = join(dirname(folder), `.making-${basename(folder)}`);
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const known = existsSync(join(model, BASE_FILE))
    ? BaseCard.parse(JSON.parse(readFileSync(join(model, BASE_FILE), "utf8")))
    : undefined;
  const asked = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  const card: BaseCard = { ...USUAL, alignment: null, ...known, ...asked, version: 1, name };
  const [run, out] = [join(making, "run"), join(making, "base")];
  if (options !== undefined) {
    const { loraRank, loraAlpha, template } = card;
    const parsed = parseOptions(AlignOptions, { loraRank, loraAlpha, ...options, run, model, template }, "align");
    await align(parsed, following);
    Object.assign(card, { alignment: { method: parsed.method, seed: parsed.seed } });
  }
  await merge({ model: options === undefined ? model : run, out }, following);
  writeFileSync(join(out, BASE_FILE), `${JSON.stringify(BaseCard.parse(card), undefined, 2)}\n`);
  renameSync(out, folder);
  rmSync(making, { recursive: true });
  return readBase(folder);
}
