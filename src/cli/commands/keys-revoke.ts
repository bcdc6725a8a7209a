import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { KeyRow, keyTable } from "../service-lists.ts";

/** `booster keys revoke` */
export const command = defineCommand({
  details: "Ends a key at once. It cannot be taken back.",
  examples: ["booster keys revoke key_AbCdEfGhIj  # by its id, as keys list tells it"],
  options: z.strictObject({ ...ServiceOptions.shape, id: z.string().min(1).describe("Id of the key") }),
  positional: ["id"],
  async run({ id, ...options }, { output }) {
    const path = `/v1/booster/api_keys/${encodeURIComponent(id)}`;
    const revoked = await askService(options, path, KeyRow, { method: "DELETE" });
    output.result(revoked, () => keyTable([revoked]));
  },
});
