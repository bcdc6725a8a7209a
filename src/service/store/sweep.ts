import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { LIMITS } from "../domain/limits.ts";
import type { Sql } from "./database.ts";
import type { Store } from "./store.ts";

/** A blob that no row names waits so long for one: it is stored before its row is. */
const YOUNG_SECONDS = 24 * 3600;

const hashesIn = (text: string): string => `(regexp_matches((${text})::text, '"([0-9a-f]{64})"', 'g'))[1]`;

/**
 * Hashes of all blobs that something still needs: files; parts of open uploads; all that an unfinished job has read or made; adapters of models, bases,
 * sets of policies. What a job put out besides goes when it is over.
 */
export async function namedBlobs(sql: Sql, now: number): Promise<Set<string>> {
  const open = "select id from jobs where stage <> 'done'";
  const rows = await sql.query(
    `select sha256 as name from files where deleted_at is null and (expires_at is null or expires_at > $1)
     union select parts.sha256 from upload_parts parts join uploads on uploads.id = upload_id where status = 'pending' and expires_at > $1
     union select ${hashesIn("jsonb_build_array(spec, outputs)")} from jobs where stage <> 'done'
     union select ${hashesIn("files")} from checkpoints where epoch_end or job_id in (${open})
     union select ${hashesIn("adapter")} from reports where job_id in (${open})
     union select ${hashesIn("files")} from models where state <> 'deleted'
     union select ${hashesIn("files")} from bases
     union select ${hashesIn("body")} from policies`,
    [now],
    z.object({ name: z.string() }),
  );
  return new Set(rows.map((row) => row.name));
}

/** What was thrown away. */
export interface Swept {
  readonly blobs: number;
  readonly unfinished: number;
}

/** Removes what nothing names any more: blobs, and what was left half-written. Only paths that are made of hashes. Called every hour. */
export async function sweep({ context, blobs, folders }: Pick<Store, "context" | "blobs" | "folders">): Promise<Swept> {
  const now = context.now();
  await context.db.query("update files set deleted_at = expires_at where deleted_at is null and expires_at <= $1", [
    now,
  ]);
  await context.db.query("delete from idempotency where created_at <= $1", [now - YOUNG_SECONDS]);
  await context.db.query("delete from job_blobs where job_id in (select id from jobs where stage = 'done')");
  await context.db.query("delete from sessions where expires_at <= $1", [now]);
  await context.db.query("delete from outbox where state <> 'waiting' and created_at <= $1", [
    now - LIMITS.deliveriesKeptSeconds,
  ]);
  const named = await namedBlobs(context.db, now);
  const swept = { blobs: 0, unfinished: 0 };
  for await (const { sha256, age } of blobs.list()) {
    if (age < YOUNG_SECONDS || named.has(sha256)) continue;
    // Since the list was made somebody may have stored it again, for a row that was not there yet.
    if (await blobs.remove(sha256, YOUNG_SECONDS)) swept.blobs++;
  }
  for (const name of await readdir(folders.tmp)) {
    const path = join(folders.tmp, name);
    const { mtimeMs } = await stat(path);
    if (mtimeMs > Date.now() - YOUNG_SECONDS * 1000) continue;
    await rm(path, { force: true });
    swept.unfinished++;
  }
  return swept;
}
