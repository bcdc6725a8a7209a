import { z } from "zod";
import { newId } from "../domain/ids.ts";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Arrival, Room } from "./arrivals.ts";
import { record } from "./audit.ts";
import type { BlobStore, Stored } from "./blobs.ts";
import { type Context, checkQuota, enterProject, projectOf } from "./context.ts";
import type { Sql } from "./database.ts";
import { bytesOf, insertFile, roomIn, type Sent, type StoredFile } from "./files.ts";
import { checkOnce, type Once, once } from "./once.ts";

const uploadRow = z
  .object({
    id: z.string(),
    bytes: z.number(),
    filename: z.string(),
    mime_type: z.string(),
    purpose: z.string(),
    file_expires_after: z.number().nullable(),
    status: z.enum(["pending", "completed", "cancelled", "expired"]),
    file_id: z.string().nullable(),
    created_at: z.number(),
    expires_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    bytes: row.bytes,
    filename: row.filename,
    mimeType: row.mime_type,
    purpose: row.purpose,
    fileExpiresAfter: row.file_expires_after,
    status: row.status,
    file: row.file_id,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }));
export type Upload = Readonly<z.infer<typeof uploadRow>>;
const COLUMNS = `id, bytes, filename, mime_type, purpose, file_expires_after, file_id, created_at, expires_at,
  case when status = 'pending' and expires_at <= $1 then 'expired' else status end as status`;

const partRow = z
  .object({ id: z.string(), upload_id: z.string(), sha256: z.string(), bytes: z.number(), created_at: z.number() })
  .transform((row) => ({
    id: row.id,
    upload: row.upload_id,
    sha256: row.sha256,
    bytes: row.bytes,
    createdAt: row.created_at,
  }));
export type UploadPart = Readonly<z.infer<typeof partRow>>;

export interface NewUpload {
  readonly bytes: number;
  readonly filename: string;
  readonly mimeType: string;
  readonly purpose: string;
  /** Seconds that the file will live, once complete. */
  readonly fileExpiresAfter?: number | undefined;
}

/** Large files in parts. */
export class Uploads {
  constructor(
    private readonly context: Context,
    private readonly blobs: BlobStore,
  ) {}

  async #get(principal: Principal, id: string, sql: Sql = this.context.db): Promise<Upload | undefined> {
    const [upload] = await sql.query(
      `select ${COLUMNS} from uploads where id = $2 and project_id = $3`,
      [this.context.now(), id, principal.project ?? null],
      uploadRow,
    );
    return upload;
  }

  /** @throws {ServiceError} `idempotency_mismatch`, `project_archived`, `quota_exceeded` */
  create(principal: Principal, upload: NewUpload & { readonly once?: Once | undefined }): Promise<Upload> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const project = await enterProject(sql, principal);
      const wanted = newId("upload");
      const id = await once(sql, principal, upload.once, wanted, now);
      if (id === wanted) {
        checkQuota((await bytesOf(sql, project, now)) + upload.bytes, LIMITS.fileBytesPerProject, "bytes of files");
        await sql.query(
          `insert into uploads (id, project_id, bytes, filename, mime_type, purpose, file_expires_after, created_at, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
          [
            id,
            project,
            upload.bytes,
            upload.filename,
            upload.mimeType,
            upload.purpose,
            upload.fileExpiresAfter ?? null,
            now,
            now + LIMITS.uploadSeconds,
          ],
        );
      }
      const [made] = await sql.query(`select ${COLUMNS} from uploads where id = $2`, [now, id], uploadRow);
      if (made === undefined) throw new Error("an upload vanished");
      return made;
    });
  }

  /** What another part may have in the project and in the upload, before it is sent. Nothing: there is no such upload. Throws as `addPart`. */
  rooms(principal: Principal, id: string): Promise<readonly Room[] | undefined> {
    return this.context.db.transaction((sql) => this.#rooms(sql, principal, id));
  }

  /** Whether a part that has come may stay, asked before it is stored. Throws as `addPart`. */
  async admit(principal: Principal, id: string, arrival: Arrival, what: Once): Promise<void> {
    await checkOnce(this.context.db, principal, what, this.context.now());
    arrival.check(await this.rooms(principal, id));
  }

  async #rooms(sql: Sql, principal: Principal, id: string): Promise<readonly Room[] | undefined> {
    const upload = await this.#get(principal, id, sql);
    if (upload === undefined) return undefined;
    if (upload.status !== "pending") throw wrongState(upload);
    const project = await roomIn(sql, await enterProject(sql, principal), this.context.now());
    const [there] = await sql.query(
      "select count(*)::int as parts, coalesce(sum(bytes), 0)::bigint as bytes from upload_parts where upload_id = $1",
      [id],
      z.object({ parts: z.number(), bytes: z.number() }),
    );
    const { parts, bytes } = there ?? { parts: 0, bytes: 0 };
    // Who is not sure whether a part has arrived may send it again.
    const left = 2 * upload.bytes - bytes;
    const beyond = new ServiceError("invalid_value", "the upload has more in it than was announced", {
      expected: `${upload.bytes} bytes, each sent twice at most, in ${LIMITS.partsPerUpload} parts at most`,
      found: `${bytes} bytes in ${parts} parts, and another part`,
    });
    if (left <= 0 || parts >= LIMITS.partsPerUpload) throw beyond;
    return [project, { of: id, bytes: left, beyond }];
  }

  /** Nothing: there is no such upload. @throws {ServiceError} `invalid_upload_state` where it takes no more parts, `invalid_value` where it has enough, `quota_exceeded`, `project_archived` */
  async addPart(
    principal: Principal,
    id: string,
    part: { readonly sha256: string; readonly bytes: number } & Sent,
  ): Promise<UploadPart | undefined> {
    const upload = await this.#get(principal, id);
    if (upload === undefined) return undefined;
    const now = this.context.now();
    return this.context.db.transaction(async (sql) => {
      const wanted = newId("part");
      const partId = await once(sql, principal, part.once, wanted, now);
      if (partId === wanted) {
        const full = (await this.#rooms(sql, principal, id))?.find((room) => part.bytes > room.bytes);
        if (full !== undefined) throw full.beyond;
        const added = await sql.query(
          `insert into upload_parts (id, upload_id, sha256, bytes, created_at)
           select $3, id, $4, $5, $1 from uploads where id = $2 and status = 'pending' and expires_at > $1 returning id`,
          [now, id, partId, part.sha256, part.bytes],
        );
        if (added.length === 0) throw wrongState(await this.#get(principal, id, sql));
        part.arrival?.end();
      }
      const [made] = await sql.query(
        "select id, upload_id, sha256, bytes, created_at from upload_parts where id = $1",
        [partId],
        partRow,
      );
      return made;
    });
  }

  /**
   * Puts the parts together, in the order given. Again: the same answer. Nothing: there is no such upload.
   *
   * @throws {ServiceError} `invalid_upload_state`, `invalid_value`, `quota_exceeded`
   */
  async complete(
    principal: Principal,
    id: string,
    ask: { readonly parts: readonly string[]; readonly md5?: string | undefined },
  ): Promise<{ readonly upload: Upload; readonly file: string } | undefined> {
    const upload = await this.#get(principal, id);
    if (upload === undefined) return undefined;
    if (upload.status === "completed" && upload.file !== null) return { upload, file: upload.file };
    if (upload.status !== "pending") throw wrongState(upload);
    const parts = await this.#parts(upload, ask.parts);
    await this.context.db.transaction(async (sql) => {
      const project = await enterProject(sql, principal);
      // Its own parts are counted already.
      checkQuota(await bytesOf(sql, project, this.context.now()), LIMITS.fileBytesPerProject, "bytes of files");
    });
    const arrived = await this.blobs.join(parts.map((part) => part.sha256));
    let file: StoredFile | undefined;
    try {
      checkMd5(arrived.stored.md5, ask.md5);
      // Joining takes a while, in which it may have been given up.
      if ((await this.#get(principal, id))?.status === "pending") {
        await arrived.keep();
        file = await this.#finish(principal, upload, arrived.stored);
      }
    } finally {
      await arrived.drop();
    }
    const after = await this.#get(principal, id);
    if (after === undefined || after.file === null) throw wrongState(after);
    return { upload: after, file: file?.id ?? after.file };
  }

  /** The file of an upload, unless somebody else has ended it. */
  #finish(principal: Principal, upload: Upload, { sha256, bytes }: Stored): Promise<StoredFile | undefined> {
    return this.context.db.transaction(async (sql) => {
      const { id } = upload;
      const now = this.context.now();
      const project = await enterProject(sql, principal);
      const fileId = newId("file");
      const expires = upload.fileExpiresAfter === null ? undefined : now + upload.fileExpiresAfter;
      const still = await sql.query("select id from uploads where id = $1 and status = 'pending' for update", [id]);
      if (still.length === 0) return undefined;
      const made = await insertFile(
        sql,
        project,
        { sha256, bytes, filename: upload.filename, purpose: upload.purpose, expiresAt: expires },
        now,
        fileId,
      );
      await sql.query("update uploads set status = 'completed', file_id = $2 where id = $1", [id, fileId]);
      await record(sql, now, principal, "file.created", { id: fileId, bytes, sha256 });
      return made;
    });
  }

  async #parts(upload: Upload, ids: readonly string[]): Promise<UploadPart[]> {
    const there = await this.context.db.query(
      "select id, upload_id, sha256, bytes, created_at from upload_parts where upload_id = $1",
      [upload.id],
      partRow,
    );
    const parts = ids.map((id) => {
      const part = there.find((one) => one.id === id);
      if (part === undefined)
        throw new ServiceError("invalid_value", "the upload has no such part", { found: id, param: "part_ids" });
      return part;
    });
    const sum = parts.reduce((total, part) => total + part.bytes, 0);
    if (sum === upload.bytes && new Set(ids).size === ids.length) return parts;
    throw new ServiceError("invalid_value", "the parts do not make the file that was announced", {
      expected: `${upload.bytes} bytes, each part once`,
      found: `${sum} bytes in ${ids.length} parts`,
      param: "part_ids",
    });
  }

  /** Nothing: there is no such upload. @throws {ServiceError} `invalid_upload_state` where it is complete or has expired */
  async cancel(principal: Principal, id: string): Promise<Upload | undefined> {
    await this.context.db.query(
      "update uploads set status = 'cancelled' where id = $1 and project_id = $2 and status = 'pending' and expires_at > $3",
      [id, projectOf(principal), this.context.now()],
    );
    const upload = await this.#get(principal, id);
    if (upload !== undefined && upload.status !== "cancelled") throw wrongState(upload);
    return upload;
  }
}

/** @throws {ServiceError} `invalid_value` */
function checkMd5(found: string, expected: string | undefined): void {
  if (expected === undefined || expected.toLowerCase() === found) return;
  throw new ServiceError("invalid_value", "the parts are not what was to be sent", {
    expected: `MD5 ${expected}`,
    found,
    param: "md5",
  });
}

const wrongState = (upload: Upload | undefined): ServiceError =>
  new ServiceError("invalid_upload_state", "the upload is not open any more", {
    expected: "pending",
    found: upload?.status ?? "gone",
  });
