import { z } from "zod";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import { askAll, ServiceOptions } from "../service-client.ts";
import { DeliveryRow } from "../service-webhooks.ts";

const time = (seconds: number | null): string => (seconds === null ? "" : new Date(seconds * 1000).toISOString());

/** `booster webhooks deliveries` */
export const command = defineCommand({
  details: "Lists what a webhook was told in the last 30 days and is to be told, newest first.",
  examples: ["booster webhooks deliveries webhook_...  # what arrived, what waits, what was given up"],
  positional: ["id"],
  options: z.strictObject({ ...ServiceOptions.shape, id: z.string().min(1).describe("Webhook") }),
  async run({ id, ...options }, { output }) {
    const deliveries = await askAll(options, `/v1/booster/webhooks/${encodeURIComponent(id)}/deliveries`, DeliveryRow);
    output.result({ deliveries }, () =>
      columns([
        ["job", "event", "since", "state", "tries", "last", "next try"],
        ...deliveries.map(({ job_id, type, created_at, state, tries, last_try, next_try_at }) => [
          job_id,
          type,
          time(created_at),
          state,
          String(tries),
          last_try === null ? "" : [last_try.outcome, last_try.status].filter((part) => part !== null).join(" "),
          time(next_try_at),
        ]),
      ]),
    );
  },
});
