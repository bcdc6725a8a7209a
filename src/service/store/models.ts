import { z } from "zod";
import { newId } from "../domain/ids.ts";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import { record } from "./audit.ts";
import { type Context, type Page, type PageAsk, page } from "./context.ts";
import type { Sql } from "./database.ts";

const modelRow = z
  .object({
    id: z.string(),
    project_id: z.string(),
    job_id: z.string(),
    base: z.string(),
    identity: z.string(),
    files: z.record(z.string(), z.string()),
    state: z.enum(["released", "withdrawn", "deleted"]),
    reason: z.string().nullable(),
    facts: z.custom<Readonly<Record<string, JsonValue>>>(),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    project: row.project_id,
    job: row.job_id,
    /** Name of the base that the adapter stands on, and its identity. */
    base: row.base,
    identity: row.identity,
    /** The adapter's files, by SHA-256. */
    files: row.files,
    state: row.state,
    reason: row.reason,
    /** Of its evaluation, such as `hs`. */
    facts: row.facts,
    createdAt: row.created_at,
  }));
export type Model = Readonly<z.infer<typeof modelRow>>;
const COLUMNS = "id, project_id, job_id, base, identity, files, state, reason, facts, created_at";

/** Of the project, or of another that has granted it. */
const MAY_USE =
  "(project_id = $1 or exists (select 1 from grants where grants.model = models.id and grants.project_id = $1))";

/** What a name means for a key: a model to serve, or one that may not be. Nothing: the key knows of no such model. */
export type Named =
  | { readonly state: "released"; readonly model: Model }
  | { readonly state: "withdrawn"; readonly reason: string | null }
  | { readonly state: "unreleased"; readonly job: string };

const grantRow = z
  .object({ id: z.string(), model: z.string(), project_id: z.string(), created_at: z.number() })
  .transform((row) => ({ id: row.id, model: row.model, project: row.project_id, createdAt: row.created_at }));
export type Grant = Readonly<z.infer<typeof grantRow>>;

/** Released models: a row is made by a release and by nothing else. */
export class Models {
  constructor(private readonly context: Context) {}

  list(principal: Principal, ask: PageAsk): Promise<Page<Model>> {
    return page(
      this.context.db,
      {
        table: "models",
        columns: COLUMNS,
        scope: MAY_USE,
        filter: "state = 'released'",
        params: [principal.project ?? null],
        row: modelRow,
      },
      ask,
    );
  }

  /** The one place that says whether a name may be served, trained on or handed out. */
  async resolve(principal: Principal, name: string): Promise<Named | undefined> {
    const project = principal.project ?? null;
    const [model] = await this.context.db.query(
      `select ${COLUMNS} from models where id = $2 and ${MAY_USE} and state <> 'deleted'`,
      [project, name],
      modelRow,
    );
    if (model?.state === "released") return { state: "released", model };
    if (model !== undefined) return { state: "withdrawn", reason: model.reason };
    const [, final] = /^(.*):ckpt-step-\d+$/.exec(name) ?? [undefined, name];
    const [job] = await this.context.db.query(
      `select id from jobs where publish_as = $2 and project_id = $1
         and not exists (select 1 from models where models.id = $3 and state = 'deleted')`,
      [project, final, name],
      z.object({ id: z.string() }),
    );
    return job === undefined ? undefined : { state: "unreleased", job: job.id };
  }

  /** Whether there was one of the principal's own. It cannot be taken back. */
  delete(principal: Principal, name: string): Promise<boolean> {
    return this.#end(
      principal,
      name,
      "deleted",
      null,
      "model.deleted",
      "project_id = $5 and state <> 'deleted'",
      principal.project ?? null,
    );
  }

  /**
   * Ends its serving, for a reason that users are told. Of any project, for keys of the whole server. One that was deleted is marked as well: what goes on from it is not
   * released.
   */
  withdraw(principal: Principal, name: string, reason: string): Promise<boolean> {
    const mine =
      "($5::text is null or project_id = $5) and (state = 'released' or state = 'deleted' and reason is null)";
    return this.#end(principal, name, "withdrawn", reason, "model.withdrawn", mine, principal.project ?? null);
  }

  #end(
    principal: Principal,
    name: string,
    state: "deleted" | "withdrawn",
    reason: string | null,
    type: "model.deleted" | "model.withdrawn",
    where: string,
    project: string | null,
  ): Promise<boolean> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const [ended] = await sql.query(
        `update models set state = case when state = 'deleted' then state else $2 end, reason = coalesce($3, reason), ended_at = $4
         where id = $1 and ${where} returning project_id`,
        [name, state, reason, now, project],
        z.object({ project_id: z.string() }),
      );
      if (ended !== undefined) await record(sql, now, principal, type, { id: name, reason }, ended.project_id);
      return ended !== undefined;
    });
  }

  /** Of these models those that may not be served any more: withdrawn, deleted, or never there. */
  async ended(names: readonly string[]): Promise<string[]> {
    const rows = await this.context.db.query(
      "select name as id from unnest($1::text[]) as name where not exists (select 1 from models where id = name and state = 'released')",
      [[...names]],
      z.object({ id: z.string() }),
    );
    return rows.map((row) => row.id);
  }

  /** Lets other projects use a released model; those that have it already are no error. Undefined where there is no such model. */
  grant(principal: Principal, model: string, projects: readonly string[]): Promise<Grant[] | undefined> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const there = await sql.query("select id from models where id = $1 and state = 'released' for share", [model]);
      if (there.length === 0) return undefined;
      const grants: Grant[] = [];
      for (const project of projects) {
        const [grant] = await sql.query(
          `insert into grants (id, model, project_id, created_at) values ($1, $2, $3, $4)
           on conflict (model, project_id) do update set model = excluded.model returning id, model, project_id, created_at`,
          [newId("grant"), model, project, now],
          grantRow,
        );
        if (grant === undefined) continue;
        grants.push(grant);
        await record(sql, now, principal, "grant.created", { id: grant.id, model }, project);
      }
      return grants;
    });
  }

  grants(model: string, ask: PageAsk & { readonly project?: string | undefined }): Promise<Page<Grant>> {
    return page(
      this.context.db,
      {
        table: "grants",
        columns: "id, model, project_id, created_at",
        scope: "model = $1",
        filter: "$2::text is null or project_id = $2",
        params: [model],
        filterParams: [ask.project ?? null],
        row: grantRow,
      },
      ask,
    );
  }

  /** Whether there was one. */
  revokeGrant(principal: Principal, model: string, id: string): Promise<boolean> {
    return this.context.db.transaction(async (sql) => {
      const [gone] = await sql.query(
        "delete from grants where id = $1 and model = $2 returning project_id",
        [id, model],
        z.object({ project_id: z.string() }),
      );
      if (gone !== undefined)
        await record(sql, this.context.now(), principal, "grant.deleted", { id, model }, gone.project_id);
      return gone !== undefined;
    });
  }
}

export interface NewModel {
  readonly id: string;
  readonly project: string;
  readonly job: string;
  readonly base: string;
  readonly identity: string;
  readonly files: Readonly<Record<string, string>>;
  readonly facts: Readonly<Record<string, JsonValue>>;
}

/** Only the transactions that release call this. */
export async function insertModel(sql: Sql, model: NewModel, now: number): Promise<void> {
  await sql.query(
    `insert into models (id, project_id, job_id, base, identity, files, state, facts, created_at)
     values ($1, $2, $3, $4, $5, $6::jsonb, 'released', $7::jsonb, $8)`,
    [
      model.id,
      model.project,
      model.job,
      model.base,
      model.identity,
      JSON.stringify(model.files),
      JSON.stringify(model.facts),
      now,
    ],
  );
}
