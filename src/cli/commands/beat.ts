import { BeatOptions, beat } from "../../stages/analysis/beat.ts";
import { defineCommand } from "../command.ts";

/** `booster beat` */
export const command = defineCommand({
  details: `Looks for inputs that carry a backdoor's trigger: a harmful probe that the model refuses is asked alone and with each input behind it;
where the answers move far apart, the input is flagged. The threshold comes from inputs that are known to be clean.`,
  examples: [
    "booster beat --model runs/attack --probes harmful.jsonl --inputs requests.jsonl --clean known.jsonl  # which requests carry a trigger",
  ],
  options: BeatOptions,
  async run(options, { output }) {
    const found = await beat(options, { emit: (event) => output.progress.show(event) });
    output.progress.finish();
    output.result({ ...found }, () => {
      const lines = [`probe: ${found.probe}`];
      if (found.flagged === undefined || found.threshold === undefined) {
        lines.push(`scores: ${found.scores.map((score) => score.toFixed(3)).join(", ")}`);
      } else {
        lines.push(
          `${found.flagged.length} of ${found.scores.length} inputs flagged (above ${found.threshold.toFixed(3)})`,
        );
        if (found.flagged.length > 0) lines.push(`rows: ${found.flagged.map((place) => place + 1).join(", ")}`);
      }
      return lines.join("\n");
    });
  },
});
