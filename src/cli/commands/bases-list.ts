import { defineCommand } from "../command.ts";
import { basesOf, baseTable } from "../service-bases.ts";
import { ServiceOptions } from "../service-client.ts";

/** `booster bases list` */
export const command = defineCommand({
  details: "Lists the bases of a running server: what they scored when they were asked last, and which are in memory.",
  examples: ["booster bases list --server http://127.0.0.1:8642  # with those that are being made"],
  options: ServiceOptions,
  async run(options, { output }) {
    const bases = await basesOf(options);
    output.result({ bases }, () => baseTable(bases));
  },
});
