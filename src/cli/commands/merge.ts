import { MergeOptions, merge } from "../../stages/merge.ts";
import { defineCommand } from "../command.ts";

/** `booster merge` */
export const command = defineCommand({
  details: `Makes one thing of a model and its adapters: a model folder in Hugging Face's layout, which needs no PEFT, or with --rank one adapter,
the best of that rank, with the error that it makes told. A run's adapter/ is the exact sum, and needs no merging.`,
  examples: [
    "booster merge runs/attack --out models/attacked  # a model folder for other programs",
    "booster merge runs/attack --out adapters/small --rank 16  # an adapter of a smaller rank than the sum has",
  ],
  options: MergeOptions,
  positional: ["model"],
  async run(options, { output }) {
    const merged = await merge(options);
    const { out, adapters, template, rank, error = 0 } = merged;
    output.result({ ...merged }, () => {
      const lines = [`${adapters} adapters ${rank === undefined ? "merged" : `as one of rank ${rank}`}: ${out}`];
      if (rank !== undefined) lines.push(`lost: ${(100 * error).toPrecision(2)} % of the change's norm`);
      const use = `trained in another template than its own: use it with --template ${template}`;
      return [...lines, ...(template === undefined ? [] : [use])].join("\n");
    });
  },
});
