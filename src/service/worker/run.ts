import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { BoosterError } from "../../errors.ts";
import { WorkerClient } from "./client.ts";
import type { WorkerOptions } from "./options.ts";
import { runWorker } from "./worker.ts";

/**
 * A worker as its command runs it.
 *
 * @returns how many pieces of work it did
 * @throws {BoosterError} `WORKER_REFUSED`, also where the file holds no token
 */
export async function startWorker(
  { server, tokenFile, scratch, threads = availableParallelism(), ...options }: WorkerOptions,
  version: string,
  signal: AbortSignal,
  log: Parameters<typeof runWorker>[0]["log"],
): Promise<number> {
  return runWorker({
    ...options,
    server: new WorkerClient({ url: server, token: tokenIn(tokenFile) }),
    scratch: resolve(scratch),
    threads,
    version,
    signal,
    ...(log === undefined ? {} : { log }),
  });
}

function tokenIn(path: string): string {
  try {
    const token = readFileSync(path, "utf8").trim();
    if (/^[\x21-\x7e]+$/.test(token)) return token;
  } catch {
    // Told below, with the place.
  }
  throw new BoosterError("WORKER_REFUSED", "the file holds no token of a worker", {
    where: path,
    hint: "Make one: booster keys create --kind worker",
  });
}
