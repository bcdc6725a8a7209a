import { randomBytes } from "node:crypto";
import { z } from "zod";
import { newId } from "../domain/ids.ts";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { OUTCOMES, WEBHOOK_EVENTS, type WebhookEvent } from "../domain/webhook.ts";
import { record } from "./audit.ts";
import { type Context, type Page, type PageAsk, page } from "./context.ts";
import type { Sql } from "./database.ts";
import { type Once, once } from "./once.ts";
import type { Secrets } from "./secrets.ts";

const webhookRow = z
  .object({
    id: z.string(),
    project_id: z.string().nullable(),
    name: z.string(),
    url: z.string(),
    events: z.array(z.enum(WEBHOOK_EVENTS)),
    state: z.enum(["active", "gone"]),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    /** Of whose jobs it is told; null: of all. */
    project: row.project_id,
    name: row.name,
    url: row.url,
    events: row.events,
    /** `gone`: the receiver said that it wants no more. */
    state: row.state,
    createdAt: row.created_at,
  }));
export type Webhook = Readonly<z.infer<typeof webhookRow>>;
const COLUMNS = "id, project_id, name, url, events, state, created_at";

const deliveryRow = z
  .object({
    id: z.string(),
    event_id: z.string(),
    type: z.string(),
    job_id: z.string(),
    created_at: z.number(),
    state: z.enum(["waiting", "delivered", "given_up"]),
    tries: z.number(),
    next_try: z.number(),
    outcome: z.enum(OUTCOMES).nullable(),
    status: z.number().nullable(),
    tried_at: z.number().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    event: row.event_id,
    type: row.type,
    job: row.job_id,
    createdAt: row.created_at,
    state: row.state,
    tries: row.tries,
    nextTry: row.state === "waiting" ? row.next_try : null,
    outcome: row.outcome,
    status: row.status,
    triedAt: row.tried_at,
  }));
export type Delivery = Readonly<z.infer<typeof deliveryRow>>;

const SECRET_BYTES = 32;
/** As receivers are given it. */
const secretText = (key: Uint8Array): string => `whsec_${Buffer.from(key).toString("base64")}`;
const MINE = "($1::text is null or project_id = $1)";

/** Where to tell of jobs. A receiver's secret is shown once and kept under the server's key. */
export class Webhooks {
  constructor(
    private readonly context: Context,
    private readonly secrets: Pick<Secrets, "seal" | "unseal">,
  ) {}

  /** A new webhook, or that of the request that this one repeats. @throws {ServiceError} `quota_exceeded`, `idempotency_mismatch`, `invalid_value` where that was deleted meanwhile */
  create(
    principal: Principal,
    wanted: {
      readonly project: string | undefined;
      readonly name: string;
      readonly url: string;
      readonly events: readonly WebhookEvent[];
      readonly once?: Once | undefined;
    },
  ): Promise<{ readonly webhook: Webhook; readonly secret: string }> {
    const key = randomBytes(SECRET_BYTES);
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      // The head of the audit log lets those that are made at once take turns.
      await sql.query("select seq from audit_head for update");
      const fresh = newId("webhook");
      const id = await once(sql, principal, wanted.once, fresh, now);
      if (id !== fresh) return this.#again(sql, id);
      const there = await sql.query("select id from webhooks");
      if (there.length >= LIMITS.webhooks) {
        throw new ServiceError("quota_exceeded", "the server has no room for more webhooks", {
          expected: `at most ${LIMITS.webhooks}`,
        });
      }
      const [webhook] = await sql.query(
        `insert into webhooks (id, project_id, name, url, events, secret, created_at)
         values ($1, $2, $3, $4, $5::text[], $6, $7) returning ${COLUMNS}`,
        [
          id,
          wanted.project ?? null,
          wanted.name,
          wanted.url,
          [...new Set(wanted.events)],
          Buffer.from(this.secrets.seal(key)).toString("base64"),
          now,
        ],
        webhookRow,
      );
      if (webhook === undefined) throw new Error("an insert gave no row");
      await record(sql, now, principal, "webhook.created", { id: webhook.id }, webhook.project);
      return { webhook, secret: secretText(key) };
    });
  }

  async #again(sql: Sql, id: string) {
    const [webhook] = await sql.query(`select ${COLUMNS} from webhooks where id = $1`, [id], webhookRow);
    const [kept] = await sql.query("select secret from webhooks where id = $1", [id], z.object({ secret: z.string() }));
    if (webhook === undefined || kept === undefined) {
      throw new ServiceError("invalid_value", "the webhook that this request made was deleted");
    }
    return { webhook, secret: secretText(this.secrets.unseal(Buffer.from(kept.secret, "base64"))) };
  }

  list(principal: Principal, ask: PageAsk): Promise<Page<Webhook>> {
    return page(
      this.context.db,
      { table: "webhooks", columns: COLUMNS, scope: MINE, params: [principal.project ?? null], row: webhookRow },
      ask,
    );
  }

  async get(principal: Principal, id: string): Promise<Webhook | undefined> {
    const [webhook] = await this.context.db.query(
      `select ${COLUMNS} from webhooks where ${MINE} and id = $2`,
      [principal.project ?? null, id],
      webhookRow,
    );
    return webhook;
  }

  /** Where a webhook goes and what signs it, for whoever sends. */
  async target(
    principal: Principal,
    id: string,
  ): Promise<{ readonly url: string; readonly key: Uint8Array } | undefined> {
    const [row] = await this.context.db.query(
      `select url, secret from webhooks where ${MINE} and id = $2`,
      [principal.project ?? null, id],
      z.object({ url: z.string(), secret: z.string() }),
    );
    return row && { url: row.url, key: this.secrets.unseal(Buffer.from(row.secret, "base64")) };
  }

  /** With all that it was to be told. Nothing: there is no such webhook. */
  remove(principal: Principal, id: string): Promise<Webhook | undefined> {
    return this.context.db.transaction(async (sql) => {
      const [webhook] = await sql.query(
        `delete from webhooks where ${MINE} and id = $2 returning ${COLUMNS}`,
        [principal.project ?? null, id],
        webhookRow,
      );
      if (webhook !== undefined) {
        await record(sql, this.context.now(), principal, "webhook.deleted", { id }, webhook.project);
      }
      return webhook;
    });
  }

  /** What a webhook was told and is to be told, newest first. */
  deliveries(principal: Principal, id: string, ask: PageAsk): Promise<Page<Delivery>> {
    return page(
      this.context.db,
      {
        table: "outbox",
        columns: "id, event_id, type, job_id, created_at, state, tries, next_try, outcome, status, tried_at",
        scope: `webhook_id = $2 and exists (select 1 from webhooks where ${MINE} and id = $2)`,
        params: [principal.project ?? null, id],
        row: deliveryRow,
      },
      ask,
    );
  }
}
