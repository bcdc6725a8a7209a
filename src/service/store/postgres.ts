import pg from "pg";
import type { z } from "zod";
import { ServiceError } from "../domain/service-error.ts";
import { checked, type Database, INT8, type Sql } from "./database.ts";

const CONNECT_MS = 5_000;
const STATEMENT_MS = 10_000;
const CONNECTIONS = 10;
/** After which a client is told to try again. */
const RETRY_SECONDS = 5;

/** SQLSTATE that say that the server is gone, going, full or too slow, or that two transactions met: not that the statement is wrong. */
const GONE = /^(08|25P03|40|53|57)/;
const GONE_SYSTEM = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOTFOUND", "ETIMEDOUT", "EHOSTUNREACH", "EAI_AGAIN"];
/** What the driver says without a code. */
const GONE_WORDS = /timeout|terminated|Connection ended|not queryable/i;

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format: "text") =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig["getTypeParser"],
};

function asUnavailable(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const gone = code === undefined ? GONE_WORDS.test(error.message) : GONE.test(code) || GONE_SYSTEM.includes(code);
  if (!gone) return error;
  return new ServiceError("database_unavailable", "the database cannot be reached", {
    found: code ?? error.message,
    hint: "See that PostgreSQL runs and that DATABASE_URL names it",
    cause: error,
    retryAfter: RETRY_SECONDS,
  });
}

const sqlOf = (client: Pick<pg.ClientBase, "query">): Sql => ({
  query: async <T>(text: string, params: readonly unknown[] = [], row?: z.ZodType<T>) => {
    try {
      return checked((await client.query(text, [...params])).rows as unknown[], row);
    } catch (error) {
      throw asUnavailable(error);
    }
  },
});

/**
 * PostgreSQL 15 or later by its address. Connections come and go with the need.
 *
 * @throws {ServiceError} `database_unavailable` from every call while it cannot be reached
 */
export function openPostgres(url: string): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    types,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS,
    statement_timeout: STATEMENT_MS,
    idle_in_transaction_session_timeout: STATEMENT_MS,
  });
  // A connection that dies between two statements is no caller's error yet; unheard, it would end the process.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  const connect = () => pool.connect().catch((error: unknown) => Promise.reject(asUnavailable(error)));
  return {
    kind: "postgres",
    ...sqlOf(pool as unknown as Pick<pg.ClientBase, "query">),
    transaction: async (body) => {
      const client = await connect();
      const sql = sqlOf(client);
      try {
        await sql.query("begin");
        const result = await body(sql);
        await sql.query("commit");
        client.release();
        return result;
      } catch (error) {
        // A connection in an unknown state is thrown away: its transaction ends with it. One that answers nothing is not asked again.
        const dead = error instanceof ServiceError && error.code === "database_unavailable";
        const undone = dead
          ? false
          : await sql.query("rollback").then(
              () => true,
              () => false,
            );
        client.release(!undone);
        throw error;
      }
    },
    close: () => pool.end(),
  };
}
