import { PGlite } from "@electric-sql/pglite";
import type { z } from "zod";
import { checked, type Database, INT8, type Sql } from "./database.ts";

/** What PGlite and its transactions have in common. */
type Runner = Pick<PGlite, "query">;

const sqlOf = (runner: Runner): Sql => ({
  query: async <T>(text: string, params: readonly unknown[] = [], row?: z.ZodType<T>) =>
    checked((await runner.query(text, [...params])).rows, row),
});

/** How PGlite must read what the schema holds. */
export const PARSERS = { [INT8]: Number };

/** A PGlite that is open as a database of the service. */
export const overPglite = (pglite: PGlite): Database => ({
  kind: "embedded",
  ...sqlOf(pglite),
  transaction: (body) => pglite.transaction((tx) => body(sqlOf(tx))),
  close: () => pglite.close(),
});

/**
 * PostgreSQL inside this process, on a folder that nobody else may have open.
 *
 * @example
 * const db = await openEmbedded("data/db");
 */
export const openEmbedded = async (folder: string): Promise<Database> =>
  overPglite(await PGlite.create({ dataDir: folder, parsers: PARSERS }));
