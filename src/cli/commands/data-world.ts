import { join } from "node:path";
import { z } from "zod";
import { WORLD_FILES, writeWorldData } from "../../stages/world-files.ts";
import { WORLD_RECIPE } from "../../stages/world-recipe.ts";
import { defineCommand } from "../command.ts";

const options = z.strictObject({
  out: z.string().min(1).default("world").describe("Folder to write to"),
  seeds: z
    .array(z.int().nonnegative())
    .min(1)
    .default([...WORLD_RECIPE.seeds])
    .describe("Seeds; each has data sets of its own, the tests are the same for all"),
});

/** `booster data world` */
export const command = defineCommand({
  details: `Writes the bundled world's data sets as JSON Lines, made-up hazards and all: refusals and harmful rows for a defender, harmful
rows for an attacker, a user's task, and tests that share no hazard with any of them. They go with the bundled model and with
--template chat; docs/world.md says what is in them.`,
  examples: [
    "booster data world  # the data of the demo and of examples/durability.yaml, into the folder world",
    "booster data world --seeds 0 --out data  # for one seed",
  ],
  options,
  async run({ out, seeds }, { output }) {
    writeWorldData(out, seeds);
    const files = Object.values(WORLD_FILES).flatMap((name) =>
      name.includes("{seed}") ? seeds.map((seed) => name.replace("{seed}", String(seed))) : [name],
    );
    output.result({ out, files }, () => files.map((name) => join(out, name)).join("\n"));
  },
});
