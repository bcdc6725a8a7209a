import { z } from "zod";
import { LIMITS } from "../domain/limits.ts";
import type { WebhookTry } from "../domain/webhook.ts";
import type { Context } from "./context.ts";

const dueRow = z
  .object({
    id: z.string(),
    webhook_id: z.string(),
    event_id: z.string(),
    type: z.string(),
    job_id: z.string(),
    created_at: z.number(),
    tries: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    webhook: row.webhook_id,
    event: row.event_id,
    type: row.type,
    job: row.job_id,
    createdAt: row.created_at,
    tries: row.tries,
  }));
export type Due = Readonly<z.infer<typeof dueRow>>;

/** That the server still has the turn in which it acts: `$1` is its name, `$2` its epoch. */
const MY_TURN = "exists (select 1 from turns where name = $1 and epoch = $2 and holder is not null)";

/** What is to be told to webhooks. The trigger on jobs fills it; this is how it is emptied, by the server whose turn it is. */
export class Outbox {
  static readonly TURN = "webhooks";

  constructor(private readonly context: Context) {}

  /** What may be tried now, the oldest first, few of each receiver: a slow one keeps nobody else waiting. */
  due(): Promise<Due[]> {
    return this.context.db.query(
      `select id, webhook_id, event_id, type, job_id, created_at, tries from (
         select *, row_number() over (partition by webhook_id order by next_try, seq) as place
         from outbox where state = 'waiting' and next_try <= $1
           and exists (select 1 from webhooks where id = webhook_id and state = 'active')) waiting
       where place <= $2 order by next_try, seq limit $3`,
      [this.context.now(), LIMITS.webhooksAtOncePerReceiver, LIMITS.webhooksAtOnce],
      dueRow,
    );
  }

  /** What became of a try, and when the next one is. Changes nothing where the turn is another server's by now. */
  async tried(epoch: number, due: Due, result: WebhookTry): Promise<void> {
    const { db, now } = this.context;
    const wait = result.outcome === "gone" ? undefined : LIMITS.webhookRetrySeconds[due.tries];
    const state = result.outcome === "delivered" ? "delivered" : wait === undefined ? "given_up" : "waiting";
    const at = now();
    await db.transaction(async (sql) => {
      // Before its rows, as whoever deletes it does: of several that hear it at once one is first.
      if (result.outcome === "gone") await sql.query("select id from webhooks where id = $1 for update", [due.webhook]);
      const settled = await sql.query(
        `update outbox set state = $4, tries = tries + 1, next_try = $5, outcome = $6, status = $7, tried_at = $8
         where id = $3 and state = 'waiting' and ${MY_TURN} returning id`,
        [Outbox.TURN, epoch, due.id, state, at + (wait ?? 0), result.outcome, result.status ?? null, at],
      );
      if (settled.length === 0 || result.outcome !== "gone") return;
      await sql.query("update webhooks set state = 'gone' where id = $1", [due.webhook]);
      await sql.query("update outbox set state = 'given_up' where webhook_id = $1 and state = 'waiting'", [
        due.webhook,
      ]);
    });
  }
}
