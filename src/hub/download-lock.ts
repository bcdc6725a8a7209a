import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { BoosterError } from "../errors.ts";
import { makeFolder } from "../formats/atomic-file.ts";
import { hubCache, repositoryFolder } from "../formats/hub/cache.ts";
import { blobName, type HubFile } from "../formats/hub/listing.ts";
import type { HubReference } from "../formats/hub/reference.ts";
import { RunLock } from "../train/lock.ts";
import type { Asking } from "./asking.ts";

const LOOK_AGAIN_MS = 200;
/** How long a download of another process may stand still before it is no reason to wait. */
const PATIENCE_MS = 120_000;

/**
 * Does something with a file of the cache that no other Booster process then does. The Python tools know other locks; they prepare a
 * file under a name of their own and give it its name when it is whole, as this program does, so the two cannot spoil each other's.
 *
 * @throws {BoosterError} `RUN_LOCKED` where another process holds the file and does not go on with it, and what `work` throws
 */
export async function withDownloadLock<T>(
  { what, tell, signal }: Asking,
  reference: HubReference,
  file: HubFile,
  work: () => Promise<T>,
): Promise<T> {
  const repository = repositoryFolder(reference);
  const path = join(hubCache(), ".locks", basename(repository), `${blobName(file)}.booster`);
  makeFolder(dirname(path));
  const incomplete = join(repository, "blobs", `${blobName(file)}.incomplete`);
  const size = (): number => statSync(incomplete, { throwIfNoEntry: false })?.size ?? -1;
  let [seen, since] = [size(), performance.now()];
  for (;;) {
    const lock = tryLock(path);
    if (lock instanceof RunLock) {
      try {
        return await work();
      } finally {
        lock.release();
      }
    }
    const now = size();
    if (now !== seen) [seen, since] = [now, performance.now()];
    if (performance.now() - since > PATIENCE_MS) throw lock;
    tell(`${what}: another process downloads ${file.path}`);
    await wait(LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal });
  }
}

function tryLock(path: string): RunLock | BoosterError {
  try {
    return RunLock.acquire(path);
  } catch (error) {
    if (error instanceof BoosterError && error.code === "RUN_LOCKED") return error;
    throw error;
  }
}
