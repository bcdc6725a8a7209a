import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { BoosterError } from "../../errors.ts";
import { type BlobStore, checkHash, joined, putBy, type Stored, spool } from "./blobs.ts";
import { placeOf, S3, type S3Times, unavailable } from "./s3.ts";

/** Bytes that are sent in one request; what is longer goes in parts of this size. */
const PART_BYTES = 16 * 1024 * 1024;
/** One that is there already is written again when it is older than this, half of what a blob without a row is given: whoever sweeps must leave it. */
const OLD_SECONDS = 12 * 3600;

/**
 * Blobs in an object storage of Amazon's protocol, as `<prefix>sha256/ab/abcd...`. What comes in is written to `temporary` first: its name is its hash, and what
 * fails on the way is sent again. What is read is checked against its hash, and goes on where a connection was cut.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`, `OPTION_MISSING`
 * @example
 * const blobs = await openS3Blobs("s3://bucket/booster?endpoint=https://storage.example.com", "data/tmp");
 */
export async function openS3Blobs(
  address: string,
  temporary: string,
  { partBytes = PART_BYTES, times }: { readonly partBytes?: number; readonly times?: S3Times } = {},
): Promise<BlobStore> {
  const s3 = new S3(placeOf(address), times);
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const { prefix } = s3.place;
  const keyOf = (sha256: string): string => `${prefix}sha256/${checkHash(sha256).slice(0, 2)}/${sha256}`;

  const head = async (sha256: string) => {
    const { response } = await s3.ask(`/${keyOf(sha256)}`, { method: "HEAD", also: [404] });
    if (response.status === 404) return undefined;
    return { bytes: Number(response.headers.get("content-length")), age: ageOf(response, "") };
  };

  const upload = async (path: string, { sha256, bytes }: Stored): Promise<void> => {
    const key = `/${keyOf(sha256)}`;
    const file = await open(path, "r");
    const partAt = async (start: number): Promise<Uint8Array<ArrayBuffer>> => {
      const part = new Uint8Array(Math.min(partBytes, bytes - start));
      for (let done = 0; done < part.length; ) {
        const { bytesRead } = await file.read(part, done, part.length - done, start + done);
        if (bytesRead === 0) throw new Error("a file became shorter");
        done += bytesRead;
      }
      return part;
    };
    try {
      if (bytes <= partBytes) await s3.ask(key, { method: "PUT", body: await partAt(0) });
      else await uploadParts(s3, key, Math.ceil(bytes / partBytes), (i) => partAt(i * partBytes));
    } finally {
      await file.close();
    }
  };

  const arrive: BlobStore["arrive"] = (bytes) =>
    spool(temporary, bytes, async (path, stored) => {
      const there = await head(stored.sha256);
      if (there?.bytes !== stored.bytes || there.age > OLD_SECONDS) await upload(path, stored);
    });

  const read: BlobStore["open"] = async (sha256, range) => {
    const there = await head(sha256);
    if (there === undefined) throw new BoosterError("BLOB_MISSING", "a blob is not in the store", { found: sha256 });
    const [start, end] = [range?.start ?? 0, Math.min(range?.end ?? Infinity, there.bytes - 1)];
    const whole = start === 0 && end === there.bytes - 1;
    return Readable.from(bytesOf(s3, `/${keyOf(sha256)}`, start, end, whole ? sha256 : undefined), {
      objectMode: false,
    });
  };

  /** A copy on this host, which goes when nobody has asked for it for a day: `sweep` does that with what lies there. */
  const path: BlobStore["path"] = async (sha256) => {
    const copy = join(temporary, checkHash(sha256));
    const there = await stat(copy).catch(() => undefined);
    if (there === undefined) {
      const unfinished = `${copy}.${randomBytes(6).toString("hex")}`;
      try {
        const file = await open(unfinished, "wx", 0o600);
        try {
          for await (const part of await read(sha256)) await file.writeFile(part as Uint8Array);
        } finally {
          await file.close();
        }
        await rename(unfinished, copy);
      } finally {
        await rm(unfinished, { force: true });
      }
    }
    const now = new Date();
    await utimes(copy, now, now);
    return copy;
  };

  return {
    put: (bytes) => putBy(arrive, bytes),
    arrive,
    open: read,
    join: (hashes) => arrive(joined(hashes, read)),
    has: async (sha256) => (await head(sha256))?.bytes,
    path,
    remove: async (sha256, young = 0) => {
      const there = young === 0 ? undefined : await head(sha256);
      if (there !== undefined && there.age < young) return false;
      await s3.ask(`/${keyOf(sha256)}`, { method: "DELETE", also: [404] });
      return true;
    },
    list: async function* () {
      for (let next: string | undefined = ""; next !== undefined; ) {
        const query = new URLSearchParams({ "list-type": "2", prefix: `${prefix}sha256/` });
        if (next !== "") query.set("continuation-token", next);
        const { response, text } = await s3.ask(`/?${query}`, {});
        for (const [, item = ""] of text.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)) {
          const sha256 = /<Key>[^<]*\/([0-9a-f]{64})<\/Key>/.exec(item)?.[1];
          const changed = /<LastModified>([^<]+)<\/LastModified>/.exec(item)?.[1];
          if (sha256 !== undefined && changed !== undefined) yield { sha256, age: ageOf(response, changed) };
        }
        const more = /<NextContinuationToken>([^<]+)<\/NextContinuationToken>/.exec(text)?.[1];
        next = more === undefined ? undefined : unescapeXml(more);
      }
    },
  };
}

/** Seconds since something was written, both times by the storage's own clock. */
function ageOf({ headers }: Response, changed: string): number {
  const [now, then] = [headers.get("date"), changed === "" ? headers.get("last-modified") : changed];
  const age = (Date.parse(now ?? "") - Date.parse(then ?? "")) / 1000;
  // Of unknown age is young: nothing is thrown away on a guess.
  return Number.isFinite(age) ? age : 0;
}

const unescapeXml = (text: string): string =>
  text.replace(
    /&(amp|lt|gt|quot|apos|#39);/g,
    (_, name: string) => ({ amp: "&", lt: "<", gt: ">", quot: '"' })[name] ?? "'",
  );

/** The bytes from `start` to `end`, in as many requests as it takes. The last of them come only when the whole has the right hash. @throws {ServiceError} `storage_unavailable` @throws {BoosterError} `BLOB_DAMAGED` */
async function* bytesOf(s3: S3, key: string, start: number, end: number, sha256: string | undefined) {
  const hash = createHash("sha256");
  let [at, held] = [start, undefined as Uint8Array | undefined];
  for (let idle = 0; at <= end; ) {
    const before = at;
    const answer = await s3.repeat(() => s3.once(key, { range: `bytes=${at}-${end}` }));
    try {
      if (answer.response.status !== 206 && at > 0) throw unavailable("it knows no ranges");
      for await (const part of answer.response.body ?? []) {
        answer.heard();
        hash.update(part);
        at += part.length;
        if (at > end + 1) throw damaged(key);
        if (held !== undefined) yield held;
        held = part;
      }
    } catch (error) {
      if (error instanceof BoosterError || (error instanceof Error && error.name === "ServiceError")) throw error;
    } finally {
      answer.done();
      await answer.response.body?.cancel().catch(() => undefined);
    }
    // A connection that was cut is gone on after, as long as each brings something.
    idle = at === before ? idle + 1 : 0;
    if (idle > 3) throw unavailable("connections bring nothing");
  }
  if (sha256 !== undefined && hash.digest("hex") !== sha256) throw damaged(key);
  if (held !== undefined) yield held;
}

const damaged = (key: string): BoosterError =>
  new BoosterError("BLOB_DAMAGED", "what the object storage gives is not what was stored", {
    where: key,
    hint: "Restore it from a backup",
  });

/** A large object in parts; what was sent of one that fails is taken back. */
async function uploadParts(
  s3: S3,
  key: string,
  count: number,
  part: (i: number) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const begun = (await s3.ask(`${key}?uploads=`, { method: "POST" })).text;
  const upload = /<UploadId>([^<]+)<\/UploadId>/.exec(begun)?.[1];
  if (upload === undefined) throw unavailable("it begins no upload in parts");
  const id = encodeURIComponent(unescapeXml(upload));
  try {
    let list = "";
    for (let i = 0; i < count; i++) {
      const { response } = await s3.ask(`${key}?partNumber=${i + 1}&uploadId=${id}`, {
        method: "PUT",
        body: await part(i),
      });
      list += `<Part><PartNumber>${i + 1}</PartNumber><ETag>${response.headers.get("etag")}</ETag></Part>`;
    }
    const body = new TextEncoder().encode(`<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`);
    // An answer that was lost leaves nothing to complete: then the object is there.
    const { text, response } = await s3.ask(`${key}?uploadId=${id}`, { method: "POST", body, also: [404] });
    if (response.status === 404) await s3.ask(key, { method: "HEAD" });
    else if (text.includes("<Error>")) throw unavailable("it does not put the parts together");
  } catch (error) {
    await s3.once(`${key}?uploadId=${id}`, { method: "DELETE", also: [404] }).catch(() => undefined);
    throw error;
  }
}
