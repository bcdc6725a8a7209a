import { z } from "zod";
import { upgrade } from "../../stages/upgrade.ts";
import { defineCommand } from "../command.ts";

/** `booster upgrade` */
export const command = defineCommand({
  details: `Converts runs of version 0.1, wherever they lie in a folder: an adapter that was trained on top of others becomes their delta, and
adapter/ the sum of all, which stands on the base model as its card says. Nothing is computed again, and unfinished runs go on.`,
  examples: [
    "booster upgrade runs  # all runs of a project, those of its experiments too",
    "booster upgrade runs/demo --json  # the runs of one experiment, for a program",
  ],
  options: z.strictObject({
    folder: z.string().min(1).describe("Folder with the runs that belong together"),
  }),
  positional: ["folder"],
  async run({ folder }, { output }) {
    const report = await upgrade(folder);
    const { converted, others } = report;
    output.result({ ...report }, () =>
      [
        ...converted.map((run) => `converted ${run}`),
        `${converted.length} converted, ${others.length} left as they are`,
      ].join("\n"),
    );
  },
});
