import { z } from "zod";
import { BoosterError } from "../../../errors.ts";
import { sha256Of } from "../../domain/canonical.ts";
import type { Database } from "../database.ts";
import { first } from "./001-first.ts";
import { fileChecks } from "./002-file-checks.ts";
import { sessions } from "./003-sessions.ts";
import { webhooks } from "./004-webhooks.ts";
import { estimates } from "./005-estimates.ts";
import { jobBlobs } from "./006-job-blobs.ts";

/** In order, only ever added to: a migration that has been released is never edited. */
export const MIGRATIONS: readonly { readonly name: string; readonly sql: string }[] = [
  { name: "first", sql: first },
  { name: "file checks", sql: fileChecks },
  { name: "sessions", sql: sessions },
  { name: "webhooks", sql: webhooks },
  { name: "estimates", sql: estimates },
  { name: "job blobs", sql: jobBlobs },
];

/** Any number that only this program's migrations take. */
const LOCK = 7_205_759;

const doneRow = z.object({ id: z.number(), name: z.string(), sha256: z.string() });

/**
 * Brings the schema up to this version, all or nothing; servers that start together take turns.
 *
 * @throws {BoosterError} `SCHEMA_TOO_NEW`, `SCHEMA_DIFFERS`
 */
export async function migrate(db: Database, migrations = MIGRATIONS): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query("select pg_advisory_xact_lock($1)", [LOCK]);
    await sql.query(
      "create table if not exists migrations (id int primary key, name text not null, sha256 text not null)",
    );
    const done = await sql.query("select id, name, sha256 from migrations order by id", [], doneRow);
    if (done.length > migrations.length) {
      throw new BoosterError("SCHEMA_TOO_NEW", "a later version of the program has opened this database", {
        expected: `at most ${migrations.length} migrations`,
        found: `${done.length}, the last one "${done.at(-1)?.name}"`,
        hint: "Start the version that was here last, or restore a backup from before it",
      });
    }
    for (const [index, migration] of migrations.entries()) {
      const before = done[index];
      const sha256 = sha256Of(migration.sql);
      if (before === undefined) {
        for (const statement of statementsOf(migration.sql)) await sql.query(statement);
        await sql.query("insert into migrations (id, name, sha256) values ($1, $2, $3)", [
          index + 1,
          migration.name,
          sha256,
        ]);
      } else if (before.sha256 !== sha256) {
        throw new BoosterError("SCHEMA_DIFFERS", "this database was made by another edition of a migration", {
          expected: `${migration.name} ${sha256.slice(0, 12)}`,
          found: `${before.name} ${before.sha256.slice(0, 12)}`,
          hint: "Start the version that made it",
        });
      }
    }
  });
}

/** Statements end with a semicolon at the end of a line, but inside a function's body. */
function statementsOf(sql: string): string[] {
  return sql
    .split(/;\s*\n(?=\s*(?:create|insert|alter|update|delete|drop|$))/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}
