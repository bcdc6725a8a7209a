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
    const { out, adapters, template, rank, error } = merged;
    output.result({ ...merged }, () =>
      [
        rank === undefined
          ? `${adapters} adapters merged: ${out}`
          : `${adapters} adapters as one of rank ${rank}: ${out}`,
        ...(rank === undefined ? [] : [`lost: ${(100 * (error ?? 0)).toPrecision(2)} % of the change's norm`]),
        ...(template === undefined
          ? []
          : [`trained in another template than its own: use it with --template ${template}`]),
      ].join("\n"),
    );
  },
});
