/** Tests of what the service keeps run on both databases: PGlite in memory, and a PostgreSQL of their own where it is installed. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe } from "vitest";
import type { Database } from "../../src/service/store/database.ts";
import { overPglite, PARSERS } from "../../src/service/store/embedded.ts";
import { MIGRATIONS, migrate } from "../../src/service/store/migrations/index.ts";
import { openPostgres } from "../../src/service/store/postgres.ts";
import { type Store, storeOn } from "../../src/service/store/store.ts";
import { type Cluster, startPostgres, whyNoPostgres } from "./postgres.ts";

/** The first opening of a PGlite takes seconds of computing: a dump of an empty database with the schema is kept below `node_modules`. */
async function emptyEmbedded(): Promise<Blob> {
  const version = dirname(createRequire(import.meta.url).resolve("@electric-sql/pglite"));
  const key = createHash("sha256")
    .update(readFileSync(join(version, "../package.json")))
    .update(JSON.stringify(MIGRATIONS))
    .digest("hex");
  const cache = join(import.meta.dirname, "../../node_modules/.cache/booster");
  const path = join(cache, `pglite-${key.slice(0, 16)}.tar`);
  if (!existsSync(path)) {
    const pglite = await PGlite.create({ parsers: PARSERS });
    await migrate(overPglite(pglite));
    const image = await pglite.dumpDataDir("none");
    await pglite.close();
    mkdirSync(cache, { recursive: true });
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, new Uint8Array(await image.arrayBuffer()));
    renameSync(unfinished, path);
  }
  return new Blob([readFileSync(path)]);
}

/** An embedded database in memory, with the schema. */
export const openEmptyEmbedded = async (): Promise<Database> =>
  overPglite(await PGlite.create({ loadDataDir: await emptyEmbedded(), parsers: PARSERS }));

/** What a test is given: a store on an empty database, and a clock that it may set. */
export interface Kept {
  readonly store: Store;
  /** Folder of blobs and keys. */
  readonly data: string;
  /** Where the database is PostgreSQL. */
  readonly cluster: Cluster | undefined;
  /** Seconds since 1970, as the store sees them. */
  time: number;
}

/** `tests` on each database. One database serves all tests of the block, so each works in a project of its own. */
export function onBothDatabases(name: string, tests: (kept: () => Kept) => void): void {
  for (const kind of ["embedded", "postgres"] as const) {
    const missing = kind === "postgres" ? whyNoPostgres : undefined;
    describe.skipIf(missing !== undefined)(`${name} (${kind})`, () => {
      let kept: Kept;
      beforeAll(async () => {
        const data = mkdtempSync(join(tmpdir(), "booster-store-"));
        const cluster = kind === "postgres" ? await startPostgres() : undefined;
        const db = cluster === undefined ? await openEmptyEmbedded() : openPostgres(cluster.url);
        const now = () => kept.time;
        kept = { store: undefined as unknown as Store, data, cluster, time: 1_800_000_000 };
        kept = Object.assign(kept, { store: await storeOn(db, { data, now }) });
      });
      afterAll(async () => {
        await kept.store.close();
        await kept.cluster?.stop();
        rmSync(kept.data, { recursive: true, force: true });
      });
      tests(() => kept);
    });
  }
}
