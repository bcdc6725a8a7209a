import { z } from "zod";
import { WEBHOOK_EVENTS } from "../../service/domain/webhook.ts";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";
import { NewWebhookRow } from "../service-webhooks.ts";

/** `booster webhooks create` */
export const command = defineCommand({
  details: `Has the server tell an https address of jobs that are over. The secret that signs what it sends is shown this once; OpenAI's clients verify with it
(client.webhooks.unwrap).`,
  examples: [
    "booster webhooks create --name chat --url https://hooks.example.com/booster  # jobs of all projects",
    "booster webhooks create --name ci --url https://ci.example.com/ --project proj_... --events fine_tuning.job.failed",
  ],
  options: z.strictObject({
    ...ServiceOptions.shape,
    name: z.string().min(1).max(100).describe("What it is for"),
    url: z.url({ protocol: /^https?$/ }).describe("Where to send to"),
    project: z.string().min(1).optional().describe("Project whose jobs it is told of; without it all"),
    events: z
      .array(z.enum(WEBHOOK_EVENTS))
      .min(1)
      .optional()
      .describe("What it is told; by default every end of a job"),
  }),
  async run({ name, url, project, events, ...options }, { output }) {
    const body = { name, url, project, events };
    const made = await askService(options, "/v1/booster/webhooks", NewWebhookRow, { method: "POST", body });
    output.result(made, () => `${made.secret}\n\nThis is shown once. Try it: booster webhooks test ${made.id}`);
  },
});
