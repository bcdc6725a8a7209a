import { z } from "zod";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Database, Sql } from "./database.ts";

/** What every repository works with. `now`: seconds since 1970. */
export interface Context {
  readonly db: Database;
  readonly now: () => number;
}

/** The project that everything of this principal's is in. @throws {ServiceError} `mismatched_project` for keys of the whole server */
export function projectOf(principal: Principal): string {
  if (principal.project !== undefined) return principal.project;
  throw new ServiceError("mismatched_project", "this key belongs to no project", {
    hint: "Use a key of the project, made with `booster keys create --project`",
  });
}

/** Which part of a list: the `limit` items behind `after`, newest first unless `order` says otherwise. */
export interface PageAsk {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly order?: "asc" | "desc" | undefined;
}

export interface Page<T> {
  readonly data: readonly T[];
  readonly hasMore: boolean;
}

/** A list in the order of `seq`. Conditions name columns of `table` alone; `scope` is also asked of the cursor, so that none leads elsewhere. */
export interface PageQuery<T> {
  readonly table: string;
  readonly columns: string;
  readonly scope: string;
  /** `$1`, `$2` ... of `scope`, then those of `filter`. */
  readonly params: readonly unknown[];
  readonly filter?: string;
  readonly filterParams?: readonly unknown[];
  readonly row: z.ZodType<T>;
}

/** @throws {ServiceError} `invalid_value` */
export async function page<T>(sql: Sql, query: PageQuery<T>, ask: PageAsk): Promise<Page<T>> {
  const { table, columns, scope, params, filter = "true", filterParams = [], row } = query;
  const from =
    ask.after === undefined
      ? undefined
      : (
          await sql.query(
            `select seq from ${table} where id = $${params.length + 1} and (${scope})`,
            [...params, ask.after],
            z.object({ seq: z.number() }),
          )
        )[0]?.seq;
  if (ask.after !== undefined && from === undefined) {
    throw new ServiceError("invalid_value", "the list has no item of this id to go on after", {
      found: ask.after,
      param: "after",
    });
  }
  const all = [...params, ...filterParams];
  const cursor = all.length + 1;
  const [order, behind] = ask.order === "asc" ? ["asc", ">"] : ["desc", "<"];
  const rows = await sql.query(
    `select ${columns} from ${table} where (${scope}) and (${filter})
       and ($${cursor}::bigint is null or seq ${behind} $${cursor}::bigint)
     order by seq ${order} limit $${cursor + 1}`,
    [...all, from ?? null, ask.limit + 1],
    row,
  );
  return { data: rows.slice(0, ask.limit), hasMore: rows.length > ask.limit };
}

/** The project that something is about to be made in, locked until then so that what it may hold can be counted. @throws {ServiceError} `mismatched_project`, `project_archived` */
export async function enterProject(sql: Sql, principal: Principal): Promise<string> {
  const id = projectOf(principal);
  const open = await sql.query("select id from projects where id = $1 and status = 'active' for no key update", [id]);
  if (open.length > 0) return id;
  throw archived(id);
}

export const archived = (id: string): ServiceError =>
  new ServiceError("project_archived", "the project is archived: what is in it can only be read", { found: id });

/** @throws {ServiceError} `quota_exceeded` where `used` leaves no room */
export function checkQuota(used: number, limit: number, what: string): void {
  if (used <= limit) return;
  throw new ServiceError("quota_exceeded", `the project has no room for more ${what}`, {
    expected: `at most ${limit}`,
    found: `${used}`,
  });
}
