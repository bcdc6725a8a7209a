import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { rowOf } from "../../choice.ts";
import { DEFENCES } from "../../methods/registry.ts";
import { bundledModel } from "../../stages/package-root.ts";
import { WORLD_FILES, writeWorldData } from "../../stages/world-files.ts";
import { WORLD_RECIPE } from "../../stages/world-recipe.ts";
import { type Following, runInChild } from "../../train/index.ts";
import type { Making } from "./add-base.ts";
import { type BaseFolder, readBase } from "./base.ts";
import type { BaseTask } from "./base-child.ts";

/** The compiled module that makes a base. */
export const BASE_CHILD = new URL("./base-child.js", import.meta.url);

/** How the bundled world is aligned for the service: by its recipe, with the first of its seeds. */
const METHODS = { "world-booster": "booster", "world-sft": "sft" } as const;
/** The middle one of the strengths at which the recipe attacks: the task is learnt, and the defence holds. */
const LEARNING_RATE = WORLD_RECIPE.strengths[2];

/**
 * The bundled world's model aligned with Booster, or with SFT, made in this folder unless it is there: a minute's work, in a process of its own.
 *
 * @throws {BoosterError} what `makeBase` throws
 * @example
 * const base = await bundledBase("data/bases/world-booster", "world-booster", { emit: console.log });
 */
export async function bundledBase(
  folder: string,
  name: keyof typeof METHODS,
  following: Following = {},
  module: URL | string = BASE_CHILD,
): Promise<BaseFolder> {
  if (existsSync(folder)) return readBase(folder);
  const [seed] = WORLD_RECIPE.seeds;
  const data = mkdtempSync(join(tmpdir(), `booster-${basename(folder)}-`));
  try {
    writeWorldData(data, [seed]);
    const file = (kind: keyof typeof WORLD_FILES) => join(data, WORLD_FILES[kind].replace("{seed}", String(seed)));
    const { align = {}, ...settings } = (rowOf(DEFENCES, METHODS[name]).tried[0] ?? {}) as { align?: object };
    const making: Making = {
      folder,
      name,
      model: bundledModel(),
      template: "chat",
      learningRate: LEARNING_RATE,
      ...WORLD_RECIPE.lora,
      align: {
        ...WORLD_RECIPE.alignment,
        ...align,
        method: { name: METHODS[name], ...settings },
        alignment: file("alignment"),
        harmful: file("harmful"),
        avoid: [file("testHarmful"), file("testHarmless"), file("testReviews")],
        seed,
        threads: 1,
      },
    };
    return await runInChild<BaseFolder>(module, { make: making } satisfies BaseTask, following);
  } finally {
    rmSync(data, { recursive: true });
  }
}
