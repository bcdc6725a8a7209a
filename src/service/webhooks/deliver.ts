import { SERVER } from "../domain/principal.ts";
import { messageOf, type WebhookOutcome, type WebhookTry } from "../domain/webhook.ts";
import type { Due, Outbox } from "../store/outbox.ts";
import type { Webhooks } from "../store/webhooks.ts";
import type { senderOf } from "./send.ts";

export interface DelivererContext {
  readonly outbox: Outbox;
  readonly webhooks: Webhooks;
  /** Says whether this server is the one that tells: its epoch, if so. */
  readonly turn: { look(): Promise<number | undefined>; end(): Promise<void> };
  readonly sender: Pick<ReturnType<typeof senderOf>, "send">;
  readonly onTry: (outcome: WebhookOutcome) => void;
  readonly onError: (error: unknown) => void;
}

/** Tells webhooks what waits in the outbox, while it is this server's turn: at least once each, and no event from two servers at a time unless one of them was taken for dead. */
export class Deliverer {
  readonly #trying = new Map<string, Promise<void>>();

  constructor(private readonly context: DelivererContext) {}

  /** Begins what is due; called every second or so. */
  async look(): Promise<void> {
    const { turn, outbox } = this.context;
    const epoch = await turn.look();
    if (epoch === undefined) return;
    for (const due of await outbox.due()) {
      if (this.#trying.has(due.id)) continue;
      const trying = this.#try(epoch, due)
        .catch(this.context.onError)
        .finally(() => this.#trying.delete(due.id));
      this.#trying.set(due.id, trying);
    }
  }

  /** Waits for what has begun, and lets another server go on. */
  async stop(): Promise<void> {
    await Promise.all(this.#trying.values());
    await this.context.turn.end();
  }

  async #try(epoch: number, due: Due): Promise<void> {
    const result = await this.#send(due).catch((error: unknown): WebhookTry => {
      this.context.onError(error);
      return { outcome: "error" };
    });
    if (result === undefined) return;
    this.context.onTry(result.outcome);
    await this.context.outbox.tried(epoch, due, result);
  }

  /** Nothing where the webhook was deleted meanwhile. */
  async #send(due: Due): Promise<WebhookTry | undefined> {
    const target = await this.context.webhooks.target(SERVER, due.webhook);
    if (target === undefined) return undefined;
    const message = messageOf({ id: due.event, type: due.type, createdAt: due.createdAt, about: due.job });
    return this.context.sender.send(target, message);
  }
}
