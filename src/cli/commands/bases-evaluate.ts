import { z } from "zod";
import { defineCommand } from "../command.ts";
import { BaseRow, baseTable, finished } from "../service-bases.ts";
import { askService, ServiceOptions } from "../service-client.ts";

/** `booster bases evaluate` */
export const command = defineCommand({
  details:
    "Has a running server ask a base the harmful and harmless prompts of a policy, judged by the policy's moderator.",
  examples: ["booster bases evaluate smollm --policy team-a  # harmful score and over-refusal, kept with the base"],
  options: z.strictObject({
    ...ServiceOptions.shape,
    name: z.string().min(1).max(64).describe("Name of the base"),
    policy: z.string().min(1).max(100).default("default").describe("Policy whose sets and moderator are taken"),
  }),
  positional: ["name"],
  async run({ name, policy, ...options }, { output }) {
    const path = `/v1/booster/bases/${encodeURIComponent(name)}/evaluate`;
    await askService(options, path, BaseRow, { method: "POST", body: { policy } });
    const base = await finished(options, name, (event) => output.progress.show(event));
    output.result(base, () => baseTable([base]));
  },
});
