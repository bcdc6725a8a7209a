import { locateSafetyLayers, SafetyLayersOptions } from "../../stages/analysis/locate.ts";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";

/** `booster safety-layers` */
export const command = defineCommand({
  details: `Finds the block of layers that tells malicious from normal questions: where their states part, and then the range whose scaling
changes how many harmless prompts are refused. What it finds is --method.layers of the method safety-layers.`,
  examples: [
    "booster safety-layers --model runs/hard --harmful harmful.jsonl --harmless harmless.jsonl --over-refusal sounds-harmful.jsonl  # then finetune --method safety-layers --method.layers FIRST,LAST",
  ],
  options: SafetyLayersOptions,
  async run(options, { output }) {
    const { range, gap, initial, baseline, count, tried } = await locateSafetyLayers(options, {
      emit: (event) => output.progress.show(event),
    });
    output.progress.finish();
    output.result({ range, count, baseline, initial, gap, tried }, () => {
      const curve = gap.map((degrees, layer) => [`layer ${layer}`, `${degrees.toFixed(1)} degrees`]);
      return `${columns(curve)}\n\nsafety layers: ${range.join(" to ")} (${count} refused, ${baseline} as it is; the search began at ${initial.join(" to ")})`;
    });
  },
});
