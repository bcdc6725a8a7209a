import { createHash, type Hash } from "node:crypto";
import { createReadStream, existsSync, renameSync, rmSync, statfsSync, statSync, symlinkSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { BoosterError } from "../errors.ts";
import { makeFolder, writeError } from "../formats/atomic-file.ts";
import { repositoryFolder, snapshotFolder } from "../formats/hub/cache.ts";
import { blobName, type HubFile } from "../formats/hub/listing.ts";
import type { HubReference } from "../formats/hub/reference.ts";
import { type Asking, Transient } from "./asking.ts";
import { withDownloadLock } from "./download-lock.ts";
import { fileAddress } from "./repository.ts";
import { type Answer, request, withRetries } from "./request.ts";

/** Told how many bytes of a file are there. */
export type Reached = (bytes: number) => void;

/** What a connection must bring to count as one that helps: a hub that gives a byte at a time is none. */
const HELPS_BYTES = 65_536;

/**
 * Downloads a file of a commit into the cache, or goes on with what was begun: its content is compared with the hash in the list before it
 * gets its name, so what has a name is whole. One process at a time.
 *
 * @throws {BoosterError} `HUB_HASH_MISMATCH`, `DISK_FULL`, `FILE_WRITE_FAILED`, `RUN_LOCKED`, and what `request` and `withRetries` throw
 */
export async function downloadFile(
  asking: Asking,
  reference: HubReference,
  commit: string,
  file: HubFile,
  reached: Reached,
): Promise<void> {
  const blob = join(repositoryFolder(reference), "blobs", blobName(file));
  const link = join(snapshotFolder(reference, commit), file.path);
  makeFolder(dirname(blob));
  makeFolder(dirname(link));
  await withDownloadLock(asking, reference, file, async () => {
    if (statSync(blob, { throwIfNoEntry: false })?.size === file.size) reached(file.size);
    else await fill(asking, fileAddress(asking, reference, commit, file.path), file, blob, reached);
    linkTo(blob, link);
  });
}

async function fill(asking: Asking, url: string, file: HubFile, blob: string, reached: Reached): Promise<void> {
  const incomplete = `${blob}.incomplete`;
  const begun = statSync(incomplete, { throwIfNoEntry: false })?.size ?? 0;
  const isBegun = begun > 0 && begun <= file.size;
  if (!isBegun) rmSync(incomplete, { force: true });
  checkSpace(file.size - (isBegun ? begun : 0), dirname(blob));
  let found = await receive(asking, url, file, incomplete, reached);
  // What another program began may be anything: once from the beginning.
  if (found !== blobName(file) && isBegun) {
    rmSync(incomplete);
    found = await receive(asking, url, file, incomplete, reached);
  }
  if (found !== blobName(file)) {
    rmSync(incomplete, { force: true });
    throw mismatched(asking, file, `${file.sha256 === undefined ? "git hash" : "SHA-256"} ${blobName(file)}`, found);
  }
  try {
    renameSync(incomplete, blob);
  } catch (cause) {
    throw writeError(blob, cause);
  }
}

/** Receives what is missing of a file, over as many connections as it takes, and gives back the hash of the whole. */
async function receive(asking: Asking, url: string, file: HubFile, path: string, reached: Reached): Promise<string> {
  let [furthest, begun] = [0, 0];
  const hash = await withRetries(
    asking,
    async () => {
      begun = furthest;
      const handle = await open(path, "a").catch((cause: unknown) => {
        throw writeError(path, cause);
      });
      try {
        return await append(asking, url, file, { path, handle }, (bytes) => {
          furthest = Math.max(furthest, bytes);
          reached(bytes);
        });
      } finally {
        await handle.close();
      }
    },
    () => furthest - begun >= HELPS_BYTES,
  );
  return hash.digest("hex");
}

interface Target {
  readonly path: string;
  readonly handle: FileHandle;
}

async function append(
  asking: Asking,
  url: string,
  file: HubFile,
  { path, handle }: Target,
  reached: Reached,
): Promise<Hash> {
  let hash = newHash(file);
  let have = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    have += chunk.length;
  }
  reached(have);
  if (have === file.size) return hash;
  const answer = await request(asking, url, have === 0 ? {} : { range: `bytes=${have}-` });
  if (have > 0 && !goesOn(answer, have)) {
    await handle.truncate(0);
    [have, hash] = [0, newHash(file)];
  }
  for await (const chunk of answer.chunks) {
    have += chunk.length;
    if (have > file.size) {
      await handle.truncate(0);
      throw mismatched(asking, file, `${file.size} bytes`, "more");
    }
    try {
      await handle.appendFile(chunk);
    } catch (cause) {
      throw writeError(path, cause);
    }
    hash.update(chunk);
    reached(have);
  }
  if (have < file.size) throw new Transient(`the connection ended after ${have} of ${file.size} bytes`);
  await handle.datasync();
  return hash;
}

const mismatched = ({ what }: Asking, { path }: HubFile, expected: string, found: string): BoosterError =>
  new BoosterError("HUB_HASH_MISMATCH", "a downloaded file is not the one that the repository lists", {
    expected,
    found,
    where: `${what}: ${path}`,
    hint: "It was thrown away. If another try ends the same, something between you and the hub changes files.",
  });

/** Whether an answer begins where the file ends; one that does not know of parts begins anew. */
const goesOn = ({ response }: Answer, have: number): boolean =>
  response.status === 206 && (response.headers.get("content-range") ?? "").startsWith(`bytes ${have}-`);

/** SHA-256, or the SHA-1 that git gives a file: of its length and its content. */
const newHash = ({ sha256, size }: HubFile): Hash =>
  sha256 === undefined ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");

/** Before hours of downloading, and not after. */
function checkSpace(bytes: number, folder: string): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= bytes) return;
  throw new BoosterError("DISK_FULL", "the file does not fit on the disk", {
    expected: `${bytes} free bytes`,
    found: `${bavail * bsize}`,
    where: folder,
    hint: "Free some space, or set HF_HOME to a larger disk. What was downloaded stays.",
  });
}

/** Shows content under its name. Where the system has no links it stands there itself, as the Python tools do it. */
function linkTo(blob: string, link: string): void {
  const temporary = `${link}.tmp-${process.pid}`;
  try {
    rmSync(temporary, { force: true });
    symlinkSync(relative(dirname(link), blob), temporary);
    renameSync(temporary, link);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EPERM") throw writeError(link, cause);
    if (existsSync(blob)) renameSync(blob, link);
  }
}
