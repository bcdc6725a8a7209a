import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import { askAll, ServiceOptions } from "../service-client.ts";
import { HeldRow } from "../service-reviews.ts";

/** `booster reviews list` */
export const command = defineCommand({
  details: "Lists the jobs of a running server that wait for a reviewer, those of all projects.",
  examples: ["booster reviews list  # what waits"],
  options: ServiceOptions,
  async run(options, { output }) {
    const jobs = await askAll(options, "/v1/booster/reviews", HeldRow);
    output.result({ jobs }, () =>
      columns([
        ["job", "since", "base", "training file"],
        ...jobs.map(({ id, created_at, model, training_file }) => [
          id,
          new Date(created_at * 1000).toISOString(),
          model,
          training_file,
        ]),
      ]),
    );
  },
});
