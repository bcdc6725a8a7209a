import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Slot } from "../domain/job.ts";
import type { WorkerProtocol } from "../domain/protocol.ts";
import { Scratch } from "./scratch.ts";
import { doPiece } from "./work.ts";

/** The compiled module of a stage's process. */
export const STAGE_CHILD = new URL("./stage-child.js", import.meta.url);

const BEAT_MS = 5000;
const POLL_MS = 1000;
const CHECKPOINT_SECONDS = 60;

/** What a worker offers, and where it works. */
export interface WorkerOptions {
  readonly server: WorkerProtocol;
  /** Folder of its own, on a disk of this host. */
  readonly scratch: string;
  readonly slots: readonly Slot[];
  /** Jobs that ask for more are left to others. */
  readonly threads: number;
  /** Bytes that the program of a job may have. */
  readonly memory?: number;
  readonly version: string;
  /** Takes one piece of work, or finds none, and ends. */
  readonly once?: boolean;
  /** Aborted to drain: what is at hand is saved and given back. */
  readonly signal: AbortSignal;
  readonly log?: (what: string, facts: Readonly<Record<string, string | number>>) => void;
  readonly module?: URL | string;
  readonly beatMs?: number;
  readonly pollMs?: number;
  readonly checkpointSeconds?: number;
}

/**
 * Takes pieces of work from a server until it is told to stop: one at a time for each kind of room that it offers.
 *
 * @returns how many pieces it did
 * @throws {BoosterError} `WORKER_REFUSED` where the server does not know its token
 */
export async function runWorker(options: WorkerOptions): Promise<number> {
  const { server, slots, signal, once = false, log = () => undefined, pollMs = POLL_MS } = options;
  const scratch = new Scratch(options.scratch);
  const facts = { threads: options.threads, host: hostname(), pid: process.pid, version: options.version };
  const id = `${facts.host.slice(0, 100)}-${randomUUID()}`;
  let done = 0;
  const work = async (offered: readonly Slot[]): Promise<void> => {
    while (!signal.aborted) {
      const claim = await unlessStopped(() => server.claim({ id, slots: offered, ...facts }), signal);
      if (claim !== undefined) {
        const { job, epoch, stage } = claim;
        log("claimed", { job, epoch, stage });
        await doPiece(
          claim,
          server,
          {
            scratch,
            module: options.module ?? STAGE_CHILD,
            memory: options.memory,
            beatMs: options.beatMs ?? BEAT_MS,
            checkpointSeconds: options.checkpointSeconds ?? CHECKPOINT_SECONDS,
          },
          signal,
        );
        log("left", { job, epoch, stage });
        done++;
      }
      if (once) return;
      if (claim === undefined) await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    }
  };
  try {
    await (once ? work(slots) : Promise.all(slots.map((slot) => work([slot]))));
  } finally {
    scratch.remove();
  }
  return done;
}

/** A call that waits for a server is given up with the worker. */
async function unlessStopped<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  let leave = (): void => undefined;
  const stopped = new Promise<undefined>((resolve) => {
    leave = () => resolve(undefined);
    signal.addEventListener("abort", leave);
  });
  try {
    return await Promise.race([call(), stopped]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
