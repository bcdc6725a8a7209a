import { z } from "zod";
import { defineCommand } from "../command.ts";
import { BaseRow, baseTable } from "../service-bases.ts";
import { askService, ServiceOptions } from "../service-client.ts";

/** `booster bases retire` */
export const command = defineCommand({
  details: `Takes no new jobs and requests for a base. Answers that have begun are written to their end, and models that stand on it are
served on. Its name never means another base.`,
  examples: ["booster bases retire smollm  # jobs and requests that name it are refused from now on"],
  options: z.strictObject({ ...ServiceOptions.shape, name: z.string().min(1).max(64).describe("Name of the base") }),
  positional: ["name"],
  async run({ name, ...options }, { output }) {
    const path = `/v1/booster/bases/${encodeURIComponent(name)}/retire`;
    const base = await askService(options, path, BaseRow, { method: "POST", body: {} });
    output.result(base, () => baseTable([base]));
  },
});
