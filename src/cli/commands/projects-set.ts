import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { ProjectRow, projectTable } from "../service-lists.ts";

/** `booster projects set` */
export const command = defineCommand({
  details: "Makes a project unless there is one of the name, and sets the policy that its new jobs are under.",
  examples: [
    "booster projects set --name team-a  # with the default policy",
    "booster projects set --name team-a --policy strict  # from now on under another one",
  ],
  options: z.strictObject({
    ...ServiceOptions.shape,
    name: z.string().min(1).max(100).describe("Name of the project"),
    policy: z.string().min(1).max(100).optional().describe("Policy of its new jobs, by name"),
  }),
  async run({ name, policy, ...options }, { output }) {
    const ask = (path: string, body: object) => askService(options, path, ProjectRow, { method: "POST", body });
    const made = await ask("/v1/booster/projects", { name });
    const project = policy === undefined ? made : await ask(`/v1/booster/projects/${made.id}`, { policy });
    output.result(project, () => projectTable([project]));
  },
});
