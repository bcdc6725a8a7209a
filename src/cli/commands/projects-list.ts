import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askAll, ServiceOptions } from "../service-client.ts";
import { ProjectRow, projectTable } from "../service-lists.ts";

/** `booster projects list` */
export const command = defineCommand({
  details: "Lists the projects of a running server.",
  examples: ["booster projects list  # those that are in use", "booster projects list --archived  # all of them"],
  options: z.strictObject({
    ...ServiceOptions.shape,
    archived: z.boolean().default(false).describe("List archived ones as well"),
  }),
  async run({ archived, ...options }, { output }) {
    const projects = await askAll(options, `/v1/booster/projects?archived=${archived}`, ProjectRow);
    output.result({ projects }, () => projectTable(projects));
  },
});
