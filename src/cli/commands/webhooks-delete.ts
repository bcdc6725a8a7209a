import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { WebhookRow } from "../service-webhooks.ts";

/** `booster webhooks delete` */
export const command = defineCommand({
  details: "Tells a webhook nothing more, also not what waits for it.",
  examples: ["booster webhooks delete webhook_...  # at once"],
  positional: ["id"],
  options: z.strictObject({ ...ServiceOptions.shape, id: z.string().min(1).describe("Webhook") }),
  async run({ id, ...options }, { output }) {
    const gone = await askService(options, `/v1/booster/webhooks/${encodeURIComponent(id)}`, WebhookRow, {
      method: "DELETE",
    });
    output.result(gone, () => `${gone.name} (${gone.id}) is told nothing more`);
  },
});
