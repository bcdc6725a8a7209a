import { z } from "zod";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";

/** `booster policy check` */
export const command = defineCommand({
  details: `Reads a policy of the service and the sets that it names, and says whether any model could be released under it: with no flagged answer at all the
interval over its prompts must end within every limit. Its SHA-256 is what reports name it by.`,
  examples: [
    "booster policy check policy.yaml  # before booster policy set",
    "booster policy check policy.yaml --json  # for a program",
  ],
  options: z.strictObject({ policy: z.string().min(1).describe("Policy file") }),
  positional: ["policy"],
  async run({ policy: path }, { output }) {
    const { loadPolicy } = await import("../../service/pipeline/policy-file.ts");
    const { policy, sha256 } = await loadPolicy(path);
    const sets = Object.entries(policy.sets).map(([use, set]) => [use, `${set.rows} rows of ${set.name}`]);
    output.result({ name: policy.name, sha256, policy }, () =>
      columns([["name", policy.name], ["sha256", sha256], ["bases", policy.bases.join(", ")], ...sets]),
    );
  },
});
