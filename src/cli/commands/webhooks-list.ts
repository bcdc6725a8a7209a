import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import { askAll, ServiceOptions } from "../service-client.ts";
import { WebhookRow } from "../service-webhooks.ts";

/** `booster webhooks list` */
export const command = defineCommand({
  details: "Lists the webhooks of a running server, without their secrets.",
  examples: ["booster webhooks list  # all of them"],
  options: ServiceOptions,
  async run(options, { output }) {
    const webhooks = await askAll(options, "/v1/booster/webhooks", WebhookRow);
    output.result({ webhooks }, () =>
      columns([
        ["id", "name", "project", "state", "address"],
        ...webhooks.map(({ id, name, project_id, state, url }) => [id, name, project_id ?? "all", state, url]),
      ]),
    );
  },
});
