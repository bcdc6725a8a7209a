import { z } from "zod";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import { record } from "./audit.ts";
import type { Context } from "./context.ts";
import type { Sql } from "./database.ts";

const baseRow = z
  .object({
    name: z.string(),
    identity: z.string(),
    files: z.record(z.string(), z.string()),
    facts: z.custom<Readonly<Record<string, JsonValue>>>(),
    state: z.enum(["active", "retired"]),
    created_at: z.number(),
  })
  .transform((row) => ({
    name: row.name,
    /** Hash of the model and all that is merged into it. */
    identity: row.identity,
    /** The model's files, by SHA-256. */
    files: row.files,
    /** How it was aligned, what it scores. */
    facts: row.facts,
    state: row.state,
    createdAt: row.created_at,
  }));
export type Base = Readonly<z.infer<typeof baseRow>>;
const COLUMNS = "name, identity, files, facts, state, created_at";

/** Aligned models that jobs start from. They belong to the server, not to tenants. */
export class Bases {
  constructor(private readonly context: Context) {}

  /** A base under its name. The same again changes its facts alone, and what is retired stays so; a name never comes to mean other weights, since models may stand on those that it had. */
  add(principal: Principal, base: Omit<Base, "state" | "createdAt">): Promise<Base | undefined> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const [made] = await sql.query(
        `insert into bases (name, identity, files, facts, created_at) values ($1, $2, $3::jsonb, $4::jsonb, $5)
         on conflict (name) do update set facts = excluded.facts, files = excluded.files
           where bases.identity = excluded.identity
         returning ${COLUMNS}`,
        [base.name, base.identity, JSON.stringify(base.files), JSON.stringify(base.facts), now],
        baseRow,
      );
      if (made !== undefined)
        await record(sql, now, principal, "base.added", { name: base.name, identity: base.identity }, null);
      return made;
    });
  }

  /** Those that jobs may start from; with `retired` those that no longer do as well. */
  list({ retired = false } = {}): Promise<Base[]> {
    const sql = `select ${COLUMNS} from bases where state = 'active' or $1 order by seq`;
    return this.context.db.query(sql, [retired], baseRow);
  }

  /** What is known of a base changes. Whether there is one. */
  describe(principal: Principal, name: string, facts: Base["facts"]): Promise<boolean> {
    return this.context.db.transaction(async (sql) => {
      const set = "update bases set facts = facts || $2::jsonb where name = $1 returning name";
      const [changed] = await sql.query(set, [name, JSON.stringify(facts)]);
      if (changed !== undefined) await record(sql, this.context.now(), principal, "base.evaluated", { name }, null);
      return changed !== undefined;
    });
  }

  /** By its name, retired or not: models that stand on it go on being served. */
  async get(name: string): Promise<Base | undefined> {
    return (await this.context.db.query(`select ${COLUMNS} from bases where name = $1`, [name], baseRow))[0];
  }

  async byIdentity(identity: string, sql: Sql = this.context.db): Promise<Base | undefined> {
    const found = await sql.query(
      `select ${COLUMNS} from bases where identity = $1 order by seq limit 1`,
      [identity],
      baseRow,
    );
    return found[0];
  }

  /** Takes no new jobs any more. Whether there was one. */
  retire(principal: Principal, name: string): Promise<boolean> {
    return this.context.db.transaction(async (sql) => {
      const gone = await sql.query(
        "update bases set state = 'retired' where name = $1 and state = 'active' returning name",
        [name],
      );
      if (gone.length > 0) await record(sql, this.context.now(), principal, "base.retired", { name }, null);
      return gone.length > 0;
    });
  }
}
