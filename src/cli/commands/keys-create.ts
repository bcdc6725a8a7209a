import { z } from "zod";
import { PRESETS, type Preset, SCOPES } from "../../service/domain/principal.ts";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { NewKeyRow } from "../service-lists.ts";

/** `booster keys create` */
export const command = defineCommand({
  details: "Makes a key. It is shown this once: the server keeps only its hash.",
  examples: [
    "booster keys create --name laptop --owner ada --project proj_... --preset user  # may upload, train and ask",
    "booster keys create --name nightly --owner ci --preset worker  # for booster worker on other hosts",
  ],
  options: z.strictObject({
    ...ServiceOptions.shape,
    name: z.string().min(1).max(100).describe("What the key is for"),
    owner: z.string().min(1).max(100).describe("Person or service that answers for what is done with it"),
    project: z.string().min(1).optional().describe("Project that it is bound to; without it the whole server"),
    preset: z
      .enum(Object.keys(PRESETS) as Preset[])
      .optional()
      .describe("What it may do, in a word"),
    scopes: z.array(z.enum(SCOPES)).min(1).optional().describe("What it may do, one by one, in place of a preset"),
  }),
  async run({ name, owner, project, preset, scopes, ...options }, { output }) {
    const body = { name, owner, project, preset, scopes };
    const made = await askService(options, "/v1/booster/api_keys", NewKeyRow, { method: "POST", body });
    output.result(made, () => `${made.key}\n\nThis is shown once. Id: ${made.id}, scopes: ${made.scopes.join(" ")}`);
  },
});
