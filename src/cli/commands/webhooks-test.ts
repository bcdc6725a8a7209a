import { z } from "zod";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { REMEDIES, TryRow } from "../service-webhooks.ts";

/** `booster webhooks test` */
export const command = defineCommand({
  details:
    "Has the server send an event of the type booster.webhook.test now, once, and says what came of it. Exit code 1 where it did not arrive.",
  examples: ["booster webhooks test webhook_...  # does the receiver answer, and verify?"],
  positional: ["id"],
  options: z.strictObject({ ...ServiceOptions.shape, id: z.string().min(1).describe("Webhook") }),
  async run({ id, ...options }, { output, exitWith }) {
    const path = `/v1/booster/webhooks/${encodeURIComponent(id)}/test`;
    const tried = await askService(options, path, TryRow, { method: "POST", body: {} });
    const status = tried.status === null ? "" : ` (status ${tried.status})`;
    const remedy = REMEDIES[tried.outcome];
    output.result(tried, () => `${tried.outcome}${status}${remedy === undefined ? "" : `: ${remedy}`}`);
    if (tried.outcome !== "delivered") exitWith(1);
  },
});
