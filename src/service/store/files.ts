import { z } from "zod";
import { newId } from "../domain/ids.ts";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Arrival, Room } from "./arrivals.ts";
import { record } from "./audit.ts";
import { type Context, checkQuota, enterProject, type Page, type PageAsk, page, projectOf } from "./context.ts";
import type { Sql } from "./database.ts";
import { checkOnce, type Once, once } from "./once.ts";

const fileRow = z
  .object({
    id: z.string(),
    sha256: z.string(),
    bytes: z.number(),
    filename: z.string(),
    purpose: z.string(),
    created_at: z.number(),
    expires_at: z.number().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    /** Of its content: the name of its blob. */
    sha256: row.sha256,
    bytes: row.bytes,
    filename: row.filename,
    purpose: row.purpose,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }));
export type StoredFile = Readonly<z.infer<typeof fileRow>>;
const COLUMNS = "id, sha256, bytes, filename, purpose, created_at, expires_at";
const THERE = "deleted_at is null and (expires_at is null or expires_at > $2)";

/** A blob under a name. The blob is stored before. */
export interface NewFile {
  readonly sha256: string;
  readonly bytes: number;
  readonly filename: string;
  readonly purpose: string;
  readonly expiresAt?: number | undefined;
}

/** How a row came to be asked for. */
export interface Sent {
  readonly once?: Once | undefined;
  /** In which its bytes came: from the row on that counts them. */
  readonly arrival?: Arrival;
}

/** A new row for a blob, inside another transaction. */
export async function insertFile(
  sql: Sql,
  project: string,
  file: NewFile,
  now: number,
  id = newId("file"),
): Promise<StoredFile> {
  const [made] = await sql.query(
    `insert into files (id, project_id, sha256, bytes, filename, purpose, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8) returning ${COLUMNS}`,
    [id, project, file.sha256, file.bytes, file.filename, file.purpose, now, file.expiresAt ?? null],
    fileRow,
  );
  if (made === undefined) throw new Error("an insert gave no row");
  return made;
}

/** Bytes of all files of a project, and of the parts of those that are still coming. */
export async function bytesOf(sql: Sql, project: string, now: number): Promise<number> {
  const [sum] = await sql.query(
    `select coalesce(sum(bytes), 0)::bigint as bytes from (
       select bytes from files where project_id = $1 and deleted_at is null
       union all select parts.bytes from upload_parts parts join uploads on uploads.id = upload_id
         where project_id = $1 and status = 'pending' and uploads.expires_at > $2) as all_of_them`,
    [project, now],
    z.object({ bytes: z.number() }),
  );
  return sum?.bytes ?? 0;
}

/** Room for files in a project. @throws {ServiceError} `quota_exceeded` where there is none */
export async function roomIn(sql: Sql, project: string, now: number, spared = 0): Promise<Room> {
  const used = (await bytesOf(sql, project, now)) - spared;
  const limit = LIMITS.fileBytesPerProject;
  checkQuota(used + 1, limit, "bytes of files");
  const beyond = new ServiceError("quota_exceeded", "the project has no room for so many bytes of files", {
    expected: `at most ${limit - used}`,
  });
  return { of: project, bytes: limit - used, beyond };
}

/** Files of tenants. */
export class Files {
  constructor(private readonly context: Context) {}

  /**
   * What may be sent, before it is.
   *
   * @param again the request may be one that was answered already: what it made has room
   * @throws {ServiceError} `quota_exceeded`, `project_archived`
   */
  room(principal: Principal, again = false): Promise<Room> {
    return this.context.db.transaction(async (sql) => {
      const project = await enterProject(sql, principal);
      const now = this.context.now();
      if (!again) return roomIn(sql, project, now);
      const [made] = await sql.query(
        "select coalesce(sum(bytes), 0)::float8 as bytes from files where project_id = $1 and created_at > $2 and deleted_at is null",
        [project, now - LIMITS.retrySeconds],
        z.object({ bytes: z.number() }),
      );
      return roomIn(sql, project, now, made!.bytes);
    });
  }

  /** Whether what has come may stay, asked before it is stored. Throws as `create`. */
  async admit(principal: Principal, arrival: Arrival, what: Once, again: boolean): Promise<void> {
    await checkOnce(this.context.db, principal, what, this.context.now());
    arrival.check([await this.room(principal, again)]);
  }

  /** @throws {ServiceError} `idempotency_mismatch`, `quota_exceeded`, `project_archived` */
  create(principal: Principal, file: NewFile & Sent): Promise<StoredFile> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const project = await enterProject(sql, principal);
      const wanted = newId("file");
      const id = await once(sql, principal, file.once, wanted, now);
      if (id !== wanted) return this.#find(sql, project, id);
      checkQuota((await bytesOf(sql, project, now)) + file.bytes, LIMITS.fileBytesPerProject, "bytes of files");
      const made = await insertFile(sql, project, file, now, id);
      await record(sql, now, principal, "file.created", { id, bytes: file.bytes, sha256: file.sha256 });
      file.arrival?.end();
      return made;
    });
  }

  /** One that was made before, deleted meanwhile or not. */
  async #find(sql: Sql, project: string, id: string): Promise<StoredFile> {
    const [file] = await sql.query(
      `select ${COLUMNS} from files where project_id = $1 and id = $2`,
      [project, id],
      fileRow,
    );
    if (file === undefined) throw new Error("a file vanished");
    return file;
  }

  async get(principal: Principal, id: string): Promise<StoredFile | undefined> {
    const [file] = await this.context.db.query(
      `select ${COLUMNS} from files where project_id = $1 and id = $3 and ${THERE}`,
      [principal.project ?? null, this.context.now(), id],
      fileRow,
    );
    return file;
  }

  list(principal: Principal, ask: PageAsk & { readonly purpose?: string | undefined }): Promise<Page<StoredFile>> {
    return page(
      this.context.db,
      {
        table: "files",
        columns: COLUMNS,
        scope: "project_id = $1",
        filter: `${THERE} and ($3::text is null or purpose = $3)`,
        params: [principal.project ?? null],
        filterParams: [this.context.now(), ask.purpose ?? null],
        row: fileRow,
      },
      ask,
    );
  }

  /** Whether there was one. Jobs that have read it keep its blob until they end. */
  delete(principal: Principal, id: string): Promise<boolean> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const gone = await sql.query(
        "update files set deleted_at = $3 where project_id = $1 and id = $2 and deleted_at is null returning id",
        [projectOf(principal), id, now],
      );
      if (gone.length > 0) await record(sql, now, principal, "file.deleted", { id });
      return gone.length > 0;
    });
  }
}
