import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { z } from "zod";
import { didYouMean } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { experimentOf, partsOf, Recipe, type ScaleName, Scales } from "../experiments/recipes.ts";
import { packagePath } from "../stages/package-root.ts";
import { type ConfigFile, readConfigFile } from "./config-file.ts";
import { fieldsOf } from "./fields.ts";
import { resolveConfig } from "./resolve-config.ts";

const FOLDER = "recipes";
const SCALES_FILE = "scales.yaml";

/** Names of the recipes of the package. */
export const recipeNames = (): string[] =>
  readdirSync(packagePath(FOLDER))
    .filter((file) => file.endsWith(".yaml") && file !== SCALES_FILE)
    .map((file) => basename(file, ".yaml"));

const read = <S extends z.ZodType>(schema: S, file: ConfigFile): z.output<S> =>
  resolveConfig(schema, fieldsOf(schema), file, []);

/** The sizes of the package. */
export const readScales = (): Scales => read(Scales, readConfigFile(packagePath(FOLDER, SCALES_FILE)));

/**
 * A recipe of the package, and the names of its experiments.
 *
 * @throws {BoosterError} `RECIPE_UNKNOWN`, and what `resolveConfig` throws
 */
export function readRecipe(name: string) {
  const [stem = ""] = name.split("/");
  const names = recipeNames();
  if (!names.includes(stem)) {
    const hint = didYouMean(stem, names);
    throw new BoosterError("RECIPE_UNKNOWN", `there is no recipe "${stem}"`, { hint });
  }
  const path = packagePath(join(FOLDER, `${stem}.yaml`));
  const recipe = read(Recipe, readConfigFile(path));
  return { path, recipe, experiments: partsOf(stem, recipe) };
}

/**
 * What a recipe says at a scale, as a configuration file of `booster experiment`.
 *
 * @throws {BoosterError} what `readRecipe` and `experimentOf` throw
 */
export function recipeFile(name: string, scale: ScaleName, scales = readScales()): ConfigFile {
  const { path, recipe } = readRecipe(name);
  const values = experimentOf(name, recipe, scale, scales);
  return { path, values, placeOf: (keys) => `${keys.map(String).join(".")} of ${path} at scale ${scale}` };
}
