import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { ProjectRow, projectTable } from "../service-lists.ts";

/** `booster projects archive` */
export const command = defineCommand({
  details: "Ends a project: what is in it can be read and nothing can be made there any more.",
  examples: ["booster projects archive proj_...  # by its id, as projects list tells it"],
  options: z.strictObject({ ...ServiceOptions.shape, id: z.string().min(1).describe("Id of the project") }),
  positional: ["id"],
  async run({ id, ...options }, { output }) {
    const path = `/v1/booster/projects/${encodeURIComponent(id)}/archive`;
    const project = await askService(options, path, ProjectRow, { method: "POST", body: {} });
    output.result(project, () => projectTable([project]));
  },
});
