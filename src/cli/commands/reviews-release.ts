import { defineCommand } from "../command.ts";
import { DecisionOptions, decide } from "../service-reviews.ts";

/** `booster reviews release` */
export const command = defineCommand({
  details: "Releases a held job, on the report that was read.",
  examples: [
    "booster reviews release ftjob-abc --report 3f0c... --reason 'the flagged rows are counter-speech'  # the report's SHA-256: booster reviews show",
  ],
  options: DecisionOptions,
  positional: ["job"],
  async run(options, { output }) {
    const job = await decide("released", options);
    output.result(
      job,
      () => `${job.id}: ${job.status}${job.fine_tuned_model === null ? "" : `, ${job.fine_tuned_model}`}`,
    );
  },
});
