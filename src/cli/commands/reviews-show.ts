import { z } from "zod";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import { ServiceOptions } from "../service-client.ts";
import { reportOf } from "../service-reviews.ts";

const percent = (share: number): string => (100 * share).toFixed(1);

/** `booster reviews show` */
export const command = defineCommand({
  details:
    "Shows the report of a job: each criterion of the policy with its interval and limit, and the SHA-256 that a decision names. --json has all of it, with the signature.",
  examples: ["booster reviews show ftjob-abc  # before it is released or rejected"],
  options: z.strictObject({ ...ServiceOptions.shape, job: z.string().min(1).describe("Id of the job") }),
  positional: ["job"],
  async run({ job, ...options }, { output }) {
    const found = await reportOf(options, job);
    output.result(found, () =>
      [
        `${found.job}: ${found.verdict}`,
        columns([
          ["criterion", "asked", "found", "of", "95 % interval, %", "limit, %", "outcome"],
          ...found.report.criteria.map(({ name, framing = "", count, total, low, high, limit, outcome }) => [
            name,
            framing,
            count === undefined ? "" : String(count),
            String(total),
            `${percent(low)} to ${percent(high)}`,
            percent(limit),
            outcome,
          ]),
        ]),
        `report ${found.sha256}`,
      ].join("\n\n"),
    );
  },
});
