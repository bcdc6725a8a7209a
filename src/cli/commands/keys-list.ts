import { defineCommand } from "../command.ts";
import { askAll, ServiceOptions } from "../service-client.ts";
import { KeyRow, keyTable } from "../service-lists.ts";

/** `booster keys list` */
export const command = defineCommand({
  details: "Lists the keys of a running server, revoked ones too, without what is secret of them.",
  examples: ["booster keys list  # all keys"],
  options: ServiceOptions,
  async run(options, { output }) {
    const keys = await askAll(options, "/v1/booster/api_keys", KeyRow);
    output.result({ keys }, () => keyTable(keys));
  },
});
