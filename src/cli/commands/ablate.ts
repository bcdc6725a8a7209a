import { AblateOptions, ablate } from "../../stages/analysis/ablate.ts";
import { defineCommand } from "../command.ts";

/** `booster ablate` */
export const command = defineCommand({
  details: `Takes the direction that tells harmful from harmless prompts out of every matrix that writes to the residual stream, and writes the
model: an attack on open weights that trains nothing, so that defences against training do not meet it. Evaluate what comes out.`,
  examples: [
    "booster ablate --model runs/hard --out models/ablated --harmful harmful.jsonl --harmless harmless.jsonl  # the model without its direction of refusals",
    "booster ablate --model runs/hard --out models/other --harmful harmful.jsonl --harmless harmless.jsonl --layer 12  # measured elsewhere",
  ],
  options: AblateOptions,
  async run(options, { output }) {
    const made = await ablate(options, { emit: (event) => output.progress.show(event) });
    output.progress.finish();
    output.result(
      { ...made },
      () =>
        `${made.matrices} matrices without the direction measured behind layer ${made.layer}, ${(100 * made.apart).toFixed(0)} % as long as a state: ${made.out}`,
    );
  },
});
