/** What is told to webhooks: how a job ended. Names and form are OpenAI's. */
export const WEBHOOK_EVENTS = [
  "fine_tuning.job.succeeded",
  "fine_tuning.job.failed",
  "fine_tuning.job.cancelled",
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** What became of one try. `gone`: the receiver wants no more (410); `forbidden`: its address is one that may not be asked; `error`: it failed here. */
export const OUTCOMES = [
  "delivered",
  "refused",
  "redirected",
  "gone",
  "timeout",
  "unreachable",
  "forbidden",
  "error",
] as const;
export type WebhookOutcome = (typeof OUTCOMES)[number];

/** One try, as people see it. */
export interface WebhookTry {
  readonly outcome: WebhookOutcome;
  /** Of the receiver's answer, where one came. */
  readonly status?: number;
}

/** What is sent: the same event has the same id at every try, so that receivers can tell. */
export interface WebhookMessage {
  readonly id: string;
  readonly body: string;
}

export const messageOf = (event: {
  readonly id: string;
  readonly type: string;
  readonly createdAt: number;
  readonly about: string;
}): WebhookMessage => ({
  id: event.id,
  body: JSON.stringify({
    id: event.id,
    object: "event",
    type: event.type,
    created_at: event.createdAt,
    data: { id: event.about },
  }),
});
