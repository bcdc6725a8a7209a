import { DriftOptions, drift } from "../../stages/analysis/drift.ts";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";

/** `booster drift` */
export const command = defineCommand({
  details: `Embedding drift: how far a training moved what attention puts out, in each layer, on the same rows: the statistic by which Vaccine
explains harmful fine-tuning.`,
  examples: [
    "booster drift --model runs/attack --before runs/hard --data refusals.jsonl  # what the attack did to refusals",
  ],
  options: DriftOptions,
  async run(options, { output }) {
    const found = await drift(options, { emit: (event) => output.progress.show(event) });
    output.progress.finish();
    output.result({ ...found }, () => {
      const rows = found.layers.map((x, layer) => [
        `layer ${layer}`,
        x.toPrecision(3),
        `${(100 * (found.relative[layer] as number)).toFixed(1)} % of its length`,
      ]);
      return `${columns(rows)}\n\n${found.total.toPrecision(4)} in all, over ${found.rows} rows`;
    });
  },
});
