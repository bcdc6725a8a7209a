import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { NewKeyRow } from "../service-lists.ts";

/** `booster keys rotate` */
export const command = defineCommand({
  details: "Makes a key that may do the same as another one, and ends that.",
  examples: ["booster keys rotate key_AbCdEfGhIj  # the new key is shown once"],
  options: z.strictObject({ ...ServiceOptions.shape, id: z.string().min(1).describe("Id of the key that ends") }),
  positional: ["id"],
  async run({ id, ...options }, { output }) {
    const path = `/v1/booster/api_keys/${encodeURIComponent(id)}/rotate`;
    const made = await askService(options, path, NewKeyRow, { method: "POST", body: {} });
    output.result(made, () => `${made.key}\n\nThis is shown once. Id: ${made.id}`);
  },
});
