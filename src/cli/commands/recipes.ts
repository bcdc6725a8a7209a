import { z } from "zod";
import { ExperimentOptions } from "../../experiments/options.ts";
import { type Size, sizeOf } from "../../experiments/recipe-size.ts";
import { isOffered, SCALES } from "../../experiments/recipes.ts";
import { duration } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { fieldsOf } from "../fields.ts";
import { columns } from "../output.ts";
import { readRecipe, readScales, recipeFile, recipeNames } from "../recipe-file.ts";
import { resolveConfig } from "../resolve-config.ts";

/** An experiment of a recipe; without a size where the scale does not have its task. */
type Listed = { readonly name: string; readonly about: string } & Partial<Size>;

/** `booster recipes` */
export const command = defineCommand({
  details: `Lists the paper's experiments, each of which booster experiment --recipe NAME runs: how many cells and pieces of work they are at
a scale, and how long they may take where that was measured. docs/recipes.md says which of the paper's scripts each stands for.`,
  examples: [
    "booster recipes  # all of them, as large as the bundled world has them",
    "booster recipes --scale paper  # as large as the paper has them",
  ],
  options: z.strictObject({ scale: z.enum(SCALES).default("world").describe("How large") }),
  async run({ scale }, { output }) {
    const scales = readScales();
    const fields = fieldsOf(ExperimentOptions);
    const recipes = recipeNames().flatMap((stem) => {
      const { recipe, experiments } = readRecipe(stem);
      return experiments.map((name): Listed => {
        const told: Listed = { name, about: recipe.about };
        if (!isOffered(name, recipe, scale, scales)) return told;
        const options = resolveConfig(ExperimentOptions, fields, recipeFile(name, scale, scales), []);
        return { ...told, ...sizeOf(options, scales[scale].seconds) };
      });
    });
    output.result({ scale, recipes }, () => {
      const rows = recipes.map(({ name, ...size }) => [name, ...figures(size)]);
      const abouts = new Map(recipes.map(({ name, about }) => [name.split("/")[0] ?? name, about]));
      return [
        `${scale}: ${scales[scale].about}`,
        "",
        columns([["", "cells", "pieces", "time"], ...rows]),
        "",
        columns([...abouts]),
      ].join("\n");
    });
  },
});

function figures({ cells, pieces, seconds }: Partial<Size>): string[] {
  if (cells === undefined) return ["-", "-", "not at this scale"];
  return [String(cells), String(pieces), seconds === undefined ? "" : duration(seconds)];
}
