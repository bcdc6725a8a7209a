import { z } from "zod";
import { newId } from "../domain/ids.ts";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { record } from "./audit.ts";
import { archived, type Context, type Page, type PageAsk, page } from "./context.ts";
import { isTaken } from "./database.ts";

const projectRow = z
  .object({
    id: z.string(),
    org_id: z.string(),
    name: z.string(),
    status: z.enum(["active", "archived"]),
    policy: z.string(),
    settings: z.custom<Readonly<Record<string, JsonValue>>>(),
    created_at: z.number(),
    archived_at: z.number().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    org: row.org_id,
    name: row.name,
    status: row.status,
    /** Name of the policy whose newest version new jobs are under. */
    policy: row.policy,
    settings: row.settings,
    createdAt: row.created_at,
    archivedAt: row.archived_at,
  }));
export type Project = Readonly<z.infer<typeof projectRow>>;
const COLUMNS = "id, org_id, name, status, policy, settings, created_at, archived_at";

const orgRow = z.object({ id: z.string(), name: z.string() });

/** Projects: what tenants are. A key of a project sees that one only. */
export class Projects {
  constructor(private readonly context: Context) {}

  /** The organisation that this server is run by; made at the first call. */
  async org(): Promise<{ readonly id: string; readonly name: string }> {
    const { db, now } = this.context;
    await db.query("insert into orgs (id, name, created_at) values ($1, 'booster', $2) on conflict (name) do nothing", [
      newId("org"),
      now(),
    ]);
    const [org] = await db.query("select id, name from orgs order by created_at, id limit 1", [], orgRow);
    if (org === undefined) throw new Error("there is no organisation");
    return org;
  }

  /** A new project, or the one that has the name already. */
  async create(principal: Principal, name: string): Promise<Project> {
    const org = await this.org();
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const [made] = await sql.query(
        `insert into projects (id, org_id, name, created_at) values ($1, $2, $3, $4)
         on conflict (org_id, name) do nothing returning ${COLUMNS}`,
        [newId("project"), org.id, name, now],
        projectRow,
      );
      if (made !== undefined) {
        await record(sql, now, principal, "project.created", { id: made.id }, made.id);
        return made;
      }
      const [there] = await sql.query(
        `select ${COLUMNS} from projects where org_id = $1 and name = $2`,
        [org.id, name],
        projectRow,
      );
      if (there === undefined) throw new Error("a project vanished");
      return there;
    });
  }

  list(principal: Principal, ask: PageAsk & { readonly archived?: boolean | undefined }): Promise<Page<Project>> {
    return page(
      this.context.db,
      {
        table: "projects",
        columns: COLUMNS,
        scope: "$1::text is null or id = $1",
        filter: "$2::boolean or status = 'active'",
        params: [principal.project ?? null],
        filterParams: [ask.archived ?? false],
        row: projectRow,
      },
      ask,
    );
  }

  async get(principal: Principal, id: string): Promise<Project | undefined> {
    const [project] = await this.context.db.query(
      `select ${COLUMNS} from projects where id = $1 and ($2::text is null or id = $2)`,
      [id, principal.project ?? null],
      projectRow,
    );
    return project;
  }

  /** @throws {ServiceError} `project_archived` */
  async checkOpen({ project = "" }: Principal): Promise<void> {
    const open = await this.context.db.query("select id from projects where id = $1 and status = 'active'", [project]);
    if (open.length === 0) throw archived(project);
  }

  /** From now on it is only read. */
  archive(principal: Principal, id: string): Promise<Project | undefined> {
    return this.#change(
      principal,
      id,
      "status = 'archived', archived_at = coalesce(archived_at, $3)",
      [this.context.now()],
      "project.archived",
      {},
    );
  }

  /**
   * Another name, policy or settings.
   *
   * @throws {ServiceError} `invalid_value` where another project has the name
   */
  update(
    principal: Principal,
    id: string,
    to: { readonly name?: string; readonly policy?: string; readonly settings?: Readonly<Record<string, JsonValue>> },
  ): Promise<Project | undefined> {
    return this.#change(
      principal,
      id,
      "name = coalesce($3, name), policy = coalesce($4, policy), settings = settings || coalesce($5::jsonb, '{}')",
      [to.name ?? null, to.policy ?? null, to.settings === undefined ? null : JSON.stringify(to.settings)],
      "project.changed",
      to,
    ).catch((error: unknown) => {
      if (!isTaken(error)) throw error;
      throw new ServiceError("invalid_value", "another project, or an archived one, has this name", { param: "name" });
    });
  }

  #change(
    principal: Principal,
    id: string,
    set: string,
    params: readonly unknown[],
    type: "project.archived" | "project.changed",
    told: Readonly<Record<string, JsonValue>>,
  ) {
    return this.context.db.transaction(async (sql) => {
      const [project] = await sql.query(
        `update projects set ${set} where id = $1 and ($2::text is null or id = $2) returning ${COLUMNS}`,
        [id, principal.project ?? null, ...params],
        projectRow,
      );
      if (project !== undefined) await record(sql, this.context.now(), principal, type, { id, ...told }, id);
      return project;
    });
  }
}
