import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { resolve } from "node:path";
import { BoosterError } from "../../errors.ts";
import { WorkerClient } from "./client.ts";
import type { WorkerOptions } from "./options.ts";
import { runWorker } from "./worker.ts";

/** What a server may take to come back. */
const RESTART_MS = 120_000;

/**
 * A worker as its command runs it.
 *
 * @returns how many pieces of work it did
 * @throws {BoosterError} `WORKER_REFUSED`, also where the file holds no token
 */
export async function startWorker(
  { server, tokenFile, scratch, memory, threads = availableParallelism(), ...options }: WorkerOptions,
  version: string,
  signal: AbortSignal,
  log: Parameters<typeof runWorker>[0]["log"],
): Promise<number> {
  const orphan = orphaned();
  return runWorker({
    ...options,
    server: new WorkerClient({ url: server, token: tokenIn(tokenFile) }, orphan.late),
    scratch: resolve(scratch),
    threads,
    memory: memory === undefined ? 0.9 * hostMemory() : memory * 1e9,
    version,
    signal: AbortSignal.any([signal, orphan.gone]),
    ...(log === undefined ? {} : { log }),
  });
}

/**
 * Whether a worker that a server started has lost it. It gives its job back to the next server, which has workers of its own, and waits for
 * that one no longer than a restart takes. A worker that a person started has nothing to lose.
 */
function orphaned(): { readonly gone: AbortSignal; readonly late: AbortSignal } {
  const [gone, late] = [new AbortController(), new AbortController()];
  const leave = (): void => {
    gone.abort("the server is gone");
    setTimeout(() => late.abort(), RESTART_MS).unref();
  };
  // The server may have ended while this program was loaded.
  if (process.connected === false) leave();
  process.once("disconnect", leave);
  process.channel?.unref();
  return { gone: gone.signal, late: late.signal };
}

/** Bytes of this host, or of the container that this process is in. */
function hostMemory(): number {
  const limit = process.constrainedMemory() ?? 0;
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
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
