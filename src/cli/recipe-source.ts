import { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { ExperimentOptions } from "../experiments/options.ts";
import { SCALES, WORLD_DATA } from "../experiments/recipes.ts";
import { writeWorldData } from "../stages/world-files.ts";
import { defineSource } from "./command.ts";
import { recipeFile } from "./recipe-file.ts";

/** `--recipe NAME --scale SIZE`: an experiment of the package in the place of a configuration file. */
export const RECIPE = defineSource({
  options: z.strictObject({
    recipe: z
      .string()
      .min(1)
      .optional()
      .describe("Experiment of the package, in the place of --config; booster recipes lists them"),
    scale: z.enum(SCALES).optional().describe("Its size: world by default"),
  }),
  read({ recipe, scale }) {
    if (recipe !== undefined) return recipeFile(recipe, scale ?? "world");
    if (scale === undefined) return undefined;
    throw new BoosterError("OPTION_MISSING", "--recipe is needed", { found: `--scale ${scale} alone` });
  },
  prepare({ recipe, scale = "world" }, options) {
    if (recipe !== undefined && scale === "world") writeWorldData(WORLD_DATA, (options as ExperimentOptions).seeds);
  },
});
