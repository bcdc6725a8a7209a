import { createReadStream, createWriteStream } from "node:fs";
import { chmod, copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setImmediate as othersFirst } from "node:timers/promises";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { type BlobStore, openBlobs } from "./blobs.ts";
import type { Sql } from "./database.ts";
import { waitingStatus } from "./job-rows.ts";
import { type KeptBlob, keptBlobs } from "./kept-blobs.ts";
import { MIGRATIONS } from "./migrations/index.ts";
import { layout, openStore, type Store, type StoreOptions } from "./store.ts";
import { namedBlobs } from "./sweep.ts";

/** Every table, those that others refer to first, with what gives its rows an order. */
export const TABLES = [
  ["orgs", "id"],
  ["projects", "seq"],
  ["api_keys", "seq"],
  ["files", "seq"],
  ["file_checks", "sha256"],
  ["uploads", "id"],
  ["upload_parts", "id"],
  ["bases", "seq"],
  ["policies", "name, version"],
  ["jobs", "seq"],
  ["job_events", "job_id, seq"],
  ["job_metrics", "job_id, step"],
  ["checkpoints", "seq"],
  ["job_blobs", "job_id, sha256"],
  ["models", "seq"],
  ["grants", "seq"],
  ["reports", "job_id"],
  ["decisions", "seq"],
  ["idempotency", "scope, key"],
  ["usage", "project_id, day, kind, model"],
  ["workers", "id"],
  ["webhooks", "seq"],
  ["outbox", "seq"],
  ["turns", "name"],
  ["audit", "seq"],
  ["audit_seals", "seq"],
] as const;
/** Tables whose `seq` the database itself counts on. */
export const COUNTED = [
  "projects",
  "api_keys",
  "files",
  "bases",
  "jobs",
  "checkpoints",
  "models",
  "grants",
  "decisions",
  "webhooks",
  "outbox",
];
const AT_ONCE = 500;

const header = z.object({
  booster: z.literal("backup"),
  migrations: z.number(),
  head: z.object({ seq: z.number(), hash: z.string() }),
});
const line = z.object({
  table: z.enum(TABLES.map(([name]) => name) as [string, ...string[]]),
  rows: z.array(z.unknown()),
});

/** What came of a backup. */
export interface Backup {
  /** How many were copied. */
  readonly blobs: number;
  /** What rows need and the backup has not: it was not in the store, or is not any more what it was stored as. */
  readonly lost: readonly (KeptBlob & { readonly how: "missing" | "damaged" })[];
}

/**
 * Writes all that the store keeps into a new folder: rows as of one moment, the blobs that they name, the server's keys. The folder is as secret as the
 * server's own. It can be restored into either kind of database. Where blobs are lost the rest is kept all the same, and they are named.
 *
 * @throws {BoosterError} `RUN_EXISTS` where the folder is there
 */
export async function backup(store: Store, to: string): Promise<Backup> {
  const unfinished = `${to}.unfinished`;
  for (const folder of [to, unfinished]) await refuseFilled(folder);
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  try {
    return await write(store, unfinished, to);
  } catch (error) {
    // What a full disk cut off would keep it full.
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function write(store: Store, unfinished: string, to: string): Promise<Backup> {
  const { named, kept } = await store.context.db.transaction(async (sql) => {
    await sql.query("set transaction isolation level repeatable read, read only");
    const file = createWriteStream(join(unfinished, "database.jsonl"), { mode: 0o600, flush: true });
    await pipeline(pagesOf(sql), file);
    const now = store.context.now();
    return { named: await namedBlobs(sql, now), kept: await keptBlobs(sql, now) };
  });
  const blobs = await openBlobs(join(unfinished, "blobs"), join(unfinished, "tmp"));
  const copied = new Map<string, "copied" | "missing" | "damaged">();
  for (const sha256 of named) copied.set(sha256, await copy(sha256, store.blobs, blobs));
  await copyKeys(store.folders.keys, join(unfinished, "keys"));
  await rename(unfinished, to);
  return {
    blobs: [...copied.values()].filter((how) => how === "copied").length,
    lost: kept.flatMap((blob) => {
      const how = copied.get(blob.sha256) ?? "missing";
      return how === "copied" ? [] : [{ ...blob, how }];
    }),
  };
}

/** Not everything that looks like the name of a blob is one. */
async function copy(sha256: string, from: BlobStore, to: BlobStore): Promise<"copied" | "missing" | "damaged"> {
  try {
    if ((await from.has(sha256)) === undefined) return "missing";
    const stored = await to.put(await from.open(sha256));
    if (stored.sha256 === sha256) return "copied";
    await to.remove(stored.sha256);
    return "damaged";
  } catch (error) {
    // It may be swept at this moment; an object storage finds damage by itself.
    if (error instanceof BoosterError && error.code === "BLOB_MISSING") return "missing";
    if (error instanceof BoosterError && error.code === "BLOB_DAMAGED") return "damaged";
    throw error;
  }
}

/** All rows, a page at a time; between two pages others have their turn. */
async function* pagesOf(sql: Sql): AsyncGenerator<string> {
  const [head] = await sql.query("select seq, hash from audit_head");
  yield `${JSON.stringify({ booster: "backup", migrations: MIGRATIONS.length, head })}\n`;
  for (const [table, order] of TABLES) {
    // A cursor goes on where it was, however long the table is.
    await sql.query(
      `declare page no scroll cursor for select to_jsonb(one) as row from ${table} one order by ${order}`,
    );
    for (;;) {
      const rows = await sql.query(`fetch ${AT_ONCE} from page`, [], z.object({ row: z.unknown() }));
      if (rows.length > 0) yield `${JSON.stringify({ table, rows: rows.map(({ row }) => row) })}\n`;
      if (rows.length < AT_ONCE) break;
      await othersFirst();
    }
    await sql.query("close page");
  }
}

/**
 * Makes a server's folder, and its database, of a backup. Workers of the time before hold nothing any more: their jobs wait for others.
 *
 * @throws {BoosterError} `BACKUP_INVALID`, `RUN_EXISTS` where the folder or the database holds something
 */
export async function restore(from: string, options: StoreOptions): Promise<void> {
  await refuseFilled(options.data);
  await copyKeys(join(from, "keys"), layout(options.data).keys);
  const store = await openStore(options);
  try {
    const blobs = await openBlobs(join(from, "blobs"), store.folders.tmp);
    for await (const { sha256 } of blobs.list()) {
      if ((await store.blobs.put(await blobs.open(sha256))).sha256 !== sha256)
        throw invalid("a blob was changed", sha256);
    }
    await store.context.db.transaction((sql) => readRows(sql, join(from, "database.jsonl")));
  } finally {
    await store.close();
  }
}

async function readRows(sql: Sql, path: string): Promise<void> {
  if ((await sql.query("select 1 from orgs limit 1")).length > 0) {
    throw new BoosterError("RUN_EXISTS", "a backup is restored into an empty database only");
  }
  let lines = 0;
  for await (const text of linesOf(createReadStream(path))) {
    if (lines++ === 0) await begin(sql, header.safeParse(parsed(text)).data);
    else await insertRows(sql, line.safeParse(parsed(text)).data);
  }
  if (lines === 0) throw invalid("it is empty");
  // The log's rows are nearly the last.
  const [whole] = await sql.query("select 1 from audit_head where seq = coalesce((select max(seq) from audit), 0)");
  if (whole === undefined) throw invalid("it was cut off");
  for (const table of COUNTED) {
    await sql.query(
      `select setval(pg_get_serial_sequence('${table}', 'seq'), greatest((select max(seq) from ${table}), 1))`,
    );
  }
  await sql.query(
    `update jobs set worker = null, epoch = epoch + 1, wish = null,
       status = case when wish = 'pause' then 'paused' else ${waitingStatus} end where worker is not null`,
  );
}

/** Lines end with a newline and nothing else: in texts of users other characters that end lines are allowed. */
async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let held: Buffer[] = [];
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      yield Buffer.concat([...held, chunk.subarray(start, end)]).toString();
      held = [];
      start = end + 1;
    }
    held.push(chunk.subarray(start));
  }
  const rest = Buffer.concat(held).toString();
  if (rest !== "") yield rest;
}

async function begin(sql: Sql, head: z.infer<typeof header> | undefined): Promise<void> {
  if (head === undefined) throw invalid("its first line is not a backup's");
  if (head.migrations !== MIGRATIONS.length) {
    throw invalid(
      `it is of schema ${head.migrations}; restore it with that version of the program and let this one take over the database`,
    );
  }
  await sql.query("update audit_head set seq = $1, hash = $2", [head.head.seq, head.head.hash]);
}

async function insertRows(sql: Sql, part: z.infer<typeof line> | undefined): Promise<void> {
  if (part === undefined) throw invalid("a line is damaged");
  await sql.query(
    `insert into ${part.table} overriding system value select * from jsonb_populate_recordset(null::${part.table}, $1::jsonb)`,
    [JSON.stringify(part.rows)],
  );
}

async function copyKeys(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of await readdir(from)) {
    await copyFile(join(from, name), join(to, name));
    await chmod(join(to, name), 0o600);
  }
}

async function refuseFilled(folder: string): Promise<void> {
  const there = await readdir(folder).catch(() => []);
  if (there.length > 0) throw new BoosterError("RUN_EXISTS", "the folder holds something already", { where: folder });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("a line is not JSON");
  }
}

const invalid = (problem: string, found?: string): BoosterError =>
  new BoosterError("BACKUP_INVALID", `the backup cannot be restored: ${problem}`, found === undefined ? {} : { found });
