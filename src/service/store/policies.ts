import { z } from "zod";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import { record } from "./audit.ts";
import type { Context } from "./context.ts";
import type { Sql } from "./database.ts";

const policyRow = z
  .object({
    name: z.string(),
    version: z.number(),
    body: z.custom<JsonValue>(),
    sha256: z.string(),
    created_at: z.number(),
  })
  .transform((row) => ({
    name: row.name,
    version: row.version,
    body: row.body,
    sha256: row.sha256,
    createdAt: row.created_at,
  }));
export type StoredPolicy = Readonly<z.infer<typeof policyRow>>;
const COLUMNS = "name, version, body, sha256, created_at";

/** Policies by name and version: they are never changed, only followed by the next version. */
export class Policies {
  constructor(private readonly context: Context) {}

  /** The next version, or the newest one where it says the same. */
  set(principal: Principal, name: string, body: JsonValue): Promise<StoredPolicy> {
    const sha256 = sha256Of(canonicalJson(body));
    return this.context.db.transaction(async (sql) => {
      // Two at once would both make the same next version; the head of the audit log lets them take turns.
      await sql.query("select seq from audit_head for update");
      const newest = await this.current(name, sql);
      if (newest?.sha256 === sha256) return newest;
      const now = this.context.now();
      const [made] = await sql.query(
        `insert into policies (name, version, body, sha256, created_at) values ($1, $2, $3::jsonb, $4, $5) returning ${COLUMNS}`,
        [name, (newest?.version ?? 0) + 1, JSON.stringify(body), sha256, now],
        policyRow,
      );
      if (made === undefined) throw new Error("an insert gave no row");
      await record(sql, now, principal, "policy.changed", { name, version: made.version, sha256 }, null);
      return made;
    });
  }

  /** The newest version: what new jobs are under. */
  async current(name: string, sql: Sql = this.context.db): Promise<StoredPolicy | undefined> {
    const [policy] = await sql.query(
      `select ${COLUMNS} from policies where name = $1 order by version desc limit 1`,
      [name],
      policyRow,
    );
    return policy;
  }

  /** Whether some version of some policy came with these rows. */
  async haveSet(sha256: string): Promise<boolean> {
    const found = await this.context.db.query(
      "select 1 from policies, jsonb_each(body -> 'sets') as one where one.value ->> 'sha256' = $1 limit 1",
      [sha256],
    );
    return found.length > 0;
  }

  /** All versions of one policy, or the newest of each. */
  list(name?: string): Promise<StoredPolicy[]> {
    return this.context.db.query(
      `select ${COLUMNS} from policies p where ($1::text is null or name = $1)
         and ($1::text is not null or version = (select max(version) from policies q where q.name = p.name))
       order by name, version desc`,
      [name ?? null],
      policyRow,
    );
  }
}
