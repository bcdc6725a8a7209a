import { defineCommand } from "../command.ts";
import { DecisionOptions, decide } from "../service-reviews.ts";

/** `booster reviews reject` */
export const command = defineCommand({
  details: "Rejects a held job, on the report that was read.",
  examples: [
    "booster reviews reject ftjob-abc --report 3f0c... --reason 'the flagged rows are instructions'  # the report's SHA-256: booster reviews show",
  ],
  options: DecisionOptions,
  positional: ["job"],
  async run(options, { output }) {
    const job = await decide("rejected", options);
    output.result(
      job,
      () => `${job.id}: ${job.status}${job.fine_tuned_model === null ? "" : `, ${job.fine_tuned_model}`}`,
    );
  },
});
