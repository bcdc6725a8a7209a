import { z } from "zod";

/** Webhooks as the server tells them. */
export const WebhookRow = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  project_id: z.string().nullable(),
  state: z.string(),
});
export const NewWebhookRow = WebhookRow.extend({ secret: z.string() });

export const DeliveryRow = z.object({
  id: z.string(),
  type: z.string(),
  job_id: z.string(),
  created_at: z.number(),
  state: z.string(),
  tries: z.number(),
  next_try_at: z.number().nullable(),
  last_try: z.object({ outcome: z.string(), status: z.number().nullable(), at: z.number() }).nullable(),
});

export const TryRow = z.object({ outcome: z.string(), status: z.number().nullable() });

/** What to look at where a receiver was not reached. */
export const REMEDIES: Readonly<Record<string, string>> = {
  refused: "the receiver answers, but with an error: look at its log",
  redirected: "redirects are not followed: give the address that they lead to",
  gone: "the receiver says that it wants no more (410)",
  timeout: "the receiver took longer than 10 s: let it answer first and work later",
  unreachable: "nothing answers there, or its certificate is not trusted",
  forbidden: "its name leads to an address that is not the public's: booster serve --webhook-inside allows it",
  error: "it failed here: look at the server's log",
};
