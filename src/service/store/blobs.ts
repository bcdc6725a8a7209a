import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { BoosterError } from "../../errors.ts";
import { errnoOf } from "../../train/files.ts";
import { ServiceError } from "../domain/service-error.ts";

export interface Stored {
  readonly sha256: string;
  readonly bytes: number;
  /** Of the same bytes; clients of uploads may send it along. */
  readonly md5: string;
}

/** Bytes that have come and are not stored yet. Whoever has them must drop them in the end, kept or not. */
export interface Arrived {
  readonly stored: Stored;
  /** Stored durably when it answers; the same bytes again are no error. @throws {ServiceError} `disk_full` */
  keep(): Promise<void>;
  /** What was not kept is gone. */
  drop(): Promise<void>;
}

/** Bytes by their SHA-256. What is stored never changes, so any number of servers may share one. */
export interface BlobStore {
  /** Stored durably when it answers; the same bytes again are no error. @throws {ServiceError} `disk_full`, and nothing is left behind */
  put(bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<Stored>;
  /** Takes bytes that may yet be refused. @throws {ServiceError} `disk_full`, and nothing is left behind */
  arrive(bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<Arrived>;
  /** @throws {BoosterError} `BLOB_MISSING` */
  open(sha256: string, range?: { readonly start: number; readonly end: number }): Promise<Readable>;
  /** Several as one, in this order. @throws {BoosterError} `BLOB_MISSING` */
  join(hashes: readonly string[]): Promise<Arrived>;
  /** Its size; undefined where there is none. */
  has(sha256: string): Promise<number | undefined>;
  /** A file of it, for programs on this host; nobody may write there. @throws {BoosterError} `BLOB_MISSING` */
  path(sha256: string): Promise<string>;
  /** Unless it was put again within the last so many seconds. Whether it is gone. */
  remove(sha256: string, young?: number): Promise<boolean>;
  /** All of them, with the seconds since they were last put: young ones may be waiting for their row. */
  list(): AsyncIterable<{ readonly sha256: string; readonly age: number }>;
}

const FULL = ["ENOSPC", "EDQUOT"];
/** After which a client is told to try again, when somebody may have made room. */
const FULL_SECONDS = 30;
const HASH = /^[0-9a-f]{64}$/;

/** A blob's name. @throws {BoosterError} `BLOB_MISSING` */
export function checkHash(sha256: string): string {
  if (HASH.test(sha256)) return sha256;
  throw new BoosterError("BLOB_MISSING", "this is no name of a blob", { expected: "64 hexadecimal digits" });
}

/** The bytes of several, in this order. */
export async function* joined(hashes: readonly string[], read: BlobStore["open"]): AsyncGenerator<Uint8Array> {
  for (const sha256 of hashes) yield* (await read(sha256)) as AsyncIterable<Uint8Array>;
}

/**
 * Writes bytes to a file of their own, from where `keep` takes them under the name that they turn out to have. Nothing is left of it where that fails.
 *
 * @throws {ServiceError} `disk_full`
 */
export async function spool(
  temporary: string,
  bytes: AsyncIterable<Uint8Array> | Uint8Array,
  keep: (path: string, stored: Stored) => Promise<void>,
): Promise<Arrived> {
  const unfinished = join(temporary, randomBytes(12).toString("hex"));
  const drop = () => rm(unfinished, { force: true });
  try {
    const stored = await writeNew(unfinished, bytes instanceof Uint8Array ? [bytes] : bytes);
    return { stored, keep: () => keep(unfinished, stored).catch(fullOr), drop };
  } catch (error) {
    await drop();
    return fullOr(error);
  }
}

/** @throws {ServiceError} `disk_full` where that is why */
function fullOr(error: unknown): never {
  if (!FULL.includes(errnoOf(error) ?? "")) throw error;
  throw new ServiceError("disk_full", "the server has no room for more bytes", {
    retryAfter: FULL_SECONDS,
    cause: error,
  });
}

/** Takes bytes and stores them. */
export async function putBy(arrive: BlobStore["arrive"], bytes: Parameters<BlobStore["put"]>[0]): Promise<Stored> {
  const arrived = await arrive(bytes);
  try {
    await arrived.keep();
    return arrived.stored;
  } finally {
    await arrived.drop();
  }
}

/**
 * Blobs in a folder, as `sha256/ab/abcd...`; what is being written lies in `tmp` and is renamed when it is whole.
 *
 * @example
 * const blobs = await openBlobs("data/blobs", "data/tmp");
 * const { sha256 } = await blobs.put(new TextEncoder().encode("a"));
 */
export async function openBlobs(folder: string, temporary: string): Promise<BlobStore> {
  await mkdir(join(folder, "sha256"), { recursive: true, mode: 0o700 });
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const path = (sha256: string): string => join(folder, "sha256", checkHash(sha256).slice(0, 2), sha256);

  const has = (sha256: string) =>
    stat(path(sha256)).then(
      (there) => there.size,
      (error: unknown) => {
        if (isAbsent(error)) return undefined;
        throw error;
      },
    );

  const openBlob = async (sha256: string, range?: { readonly start: number; readonly end: number }) => {
    const handle = await open(path(sha256), "r").catch((error: unknown) => {
      if (!isAbsent(error)) throw error;
      throw new BoosterError("BLOB_MISSING", "a blob is not in the store", { found: sha256 });
    });
    return createReadStream("", { fd: handle, ...range });
  };

  const arrive: BlobStore["arrive"] = (bytes) =>
    spool(temporary, bytes, async (unfinished, { sha256 }) => {
      const target = path(sha256);
      const made = await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      if (made !== undefined) await syncFolder(dirname(made));
      if ((await has(sha256)) !== undefined) {
        // Young again: whoever sweeps must leave it for the row that is about to name it.
        const now = new Date();
        await utimes(target, now, now);
        return;
      }
      await rename(unfinished, target);
      await syncFolder(dirname(target));
    });

  return {
    put: (bytes) => putBy(arrive, bytes),
    arrive,
    open: openBlob,
    has,
    path: async (sha256) => path(sha256),
    join: (hashes) => arrive(joined(hashes, openBlob)),
    remove: async (sha256, young = 0) => {
      const there = young === 0 ? undefined : await stat(path(sha256)).catch(() => undefined);
      if (there !== undefined && ageOf(there) < young) return false;
      await rm(path(sha256), { force: true });
      return true;
    },
    list: async function* () {
      for (const part of await readdir(join(folder, "sha256"))) {
        for (const sha256 of await readdir(join(folder, "sha256", part))) {
          if (HASH.test(sha256)) yield { sha256, age: ageOf(await stat(path(sha256))) };
        }
      }
    },
  };
}

const ageOf = ({ mtimeMs }: { readonly mtimeMs: number }): number => (Date.now() - mtimeMs) / 1000;

async function writeNew(path: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Stored> {
  const sha256 = createHash("sha256");
  const md5 = createHash("md5");
  let bytes = 0;
  const handle = await open(path, "wx", 0o600);
  try {
    for await (const part of parts) {
      sha256.update(part);
      md5.update(part);
      bytes += part.length;
      for (let done = 0; done < part.length; ) done += (await handle.write(part, done)).bytesWritten;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { sha256: sha256.digest("hex"), bytes, md5: md5.digest("hex") };
}

/** A rename is only kept over a loss of power once its folder is written. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  await handle.sync().finally(() => handle.close());
}

const isAbsent = (error: unknown): boolean => errnoOf(error) === "ENOENT";
