import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";

const Stored = z.object({ name: z.string(), version: z.number(), sha256: z.string() });

/** `booster policy set` */
export const command = defineCommand({
  details:
    "Gives a running server the next version of a policy, once it has been checked here. New jobs of projects that have it are under it.",
  examples: ["booster policy set policy.yaml  # then booster projects set --name team-a --policy NAME"],
  options: z.strictObject({ ...ServiceOptions.shape, policy: z.string().min(1).describe("Policy file") }),
  positional: ["policy"],
  async run({ policy: path, ...options }, { output }) {
    const { loadPolicy } = await import("../../service/pipeline/policy-file.ts");
    const { policy, blobs } = await loadPolicy(path);
    const sets = [...blobs.values()].map((rows) => Buffer.from(rows).toString("utf8"));
    const stored = await askService(options, "/v1/booster/policies", Stored, {
      method: "POST",
      body: { policy, sets },
    });
    output.result(stored, () => `${stored.name} version ${stored.version}, ${stored.sha256}`);
  },
});
