import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { errnoOf, guardFiles, nodeFileSystem } from "../../train/files.ts";
import type { Claim, WorkerProtocol } from "../domain/protocol.ts";
import { ServiceError } from "../domain/service-error.ts";

/** Between tries while the server is away: doubled each time. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5000;
/** Of a request that is no blob. */
const ANSWER_MS = 30_000;

/** How long a blob waits for room on the server's disk. */
const FULL_MS = 600_000;

/** Where a worker's server is, and the token that it knows the worker by. */
export interface ServerAddress {
  readonly url: string;
  readonly token: string;
}

/** Whether a job is no longer this worker's: it was cancelled, or another worker has it. */
export const isLeaseLost = (error: unknown): boolean => error instanceof ServiceError && error.code === "lease_lost";

const Told = z.object({ error: z.object({ code: z.string().nullish(), message: z.string() }) });
const Claimed = z.object({ claim: z.custom<Claim>().nullable() });
const Wish = z.object({ wish: z.enum(["pause", "none", "lost"]) });
const Written = z.object({ sha256: z.string() });

interface Asked {
  readonly method: "GET" | "POST" | "PUT";
  readonly path: string;
  readonly json?: unknown;
  /** File that is sent. */
  readonly file?: string;
}

/**
 * The protocol of workers over HTTP. Every call waits for a server that is away, restarts or is busy, and tries again, as long as nobody
 * aborts it: a training goes on meanwhile.
 *
 * A call throws `lease_lost`, `WORKER_REFUSED` where the server does not know the token, `STOPPED` once `signal` is aborted, `DISK_FULL` and the
 * like where this host's disk fails, or the server's has no room for a blob for ten minutes.
 */
export class WorkerClient implements WorkerProtocol {
  constructor(
    private readonly server: ServerAddress,
    private readonly signal?: AbortSignal,
    private readonly fullMs = FULL_MS,
  ) {}

  async claim(worker: Parameters<WorkerProtocol["claim"]>[0]): Promise<Claim | undefined> {
    return (await this.json(Claimed, "/internal/claim", worker)).claim ?? undefined;
  }

  beat(job: string, epoch: number, step: number, left?: number): ReturnType<WorkerProtocol["beat"]> {
    return this.json(Wish, `/internal/jobs/${job}/beat`, { epoch, step, left });
  }

  async event(...[job, epoch, event]: Parameters<WorkerProtocol["event"]>): Promise<void> {
    await this.json(z.unknown(), `/internal/jobs/${job}/events`, { epoch, event });
  }

  async metrics(...[job, epoch, rows]: Parameters<WorkerProtocol["metrics"]>): Promise<void> {
    await this.json(z.unknown(), `/internal/jobs/${job}/metrics`, { epoch, rows });
  }

  async checkpoint(...[job, epoch, checkpoint]: Parameters<WorkerProtocol["checkpoint"]>): Promise<void> {
    await this.json(z.unknown(), `/internal/jobs/${job}/checkpoints`, { epoch, checkpoint });
  }

  async finish(...[job, epoch, outcome, verdict, took]: Parameters<WorkerProtocol["finish"]>): Promise<void> {
    await this.json(z.unknown(), `/internal/jobs/${job}/finish`, { epoch, outcome, verdict, took });
  }

  readBlob(job: string, epoch: number, sha256: string, to: string): Promise<void> {
    return this.patiently(async () => {
      const path = `/internal/blobs/${sha256}?job=${encodeURIComponent(job)}&epoch=${epoch}`;
      const { body } = await this.ask({ method: "GET", path });
      const hash = createHash("sha256");
      const through = new Transform({
        transform(chunk: Buffer, _, done) {
          hash.update(chunk);
          done(undefined, chunk);
        },
      });
      await pipeline(Readable.fromWeb(body as never), through, createWriteStream(to));
      if (hash.digest("hex") !== sha256) throw new TypeError("the blob came damaged");
    });
  }

  writeBlob(job: string, epoch: number, from: string, sealed = false): Promise<string> {
    const path = `/internal/blobs?job=${encodeURIComponent(job)}&epoch=${epoch}${sealed ? "&sealed=1" : ""}`;
    return this.patiently(async () => {
      const response = await this.ask({ method: "PUT", path, file: from });
      return Written.parse(await response.json()).sha256;
    }, this.fullMs);
  }

  private json<T>(schema: z.ZodType<T>, path: string, json: unknown): Promise<T> {
    return this.patiently(async () => schema.parse(await (await this.ask({ method: "POST", path, json })).json()));
  }

  /** Tries again while the server cannot answer; as long as this where its disk is full. */
  private async patiently<T>(attempt: () => Promise<T>, fullMs = Number.POSITIVE_INFINITY): Promise<T> {
    const began = performance.now();
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      if (this.signal?.aborted) throw new BoosterError("STOPPED", "the call was stopped");
      try {
        return await attempt();
      } catch (error) {
        const full = error instanceof ServiceError && error.code === "disk_full";
        if (full && performance.now() - began >= fullMs) throw noRoom(fullMs, error);
        // What is no error of ours is one of the connection, of a server that is not itself, or of this host's disk, which asking again does not mend.
        if (!full && [BoosterError, ServiceError, z.ZodError].some((kind) => error instanceof kind)) throw error;
        if (errnoOf(error) !== undefined) guardFiles(nodeFileSystem, "keeping a job's file", ".", () => raise(error));
      }
      await sleep(wait, undefined, this.signal && { signal: this.signal }).catch(() => undefined);
    }
  }

  private async ask({ method, path, json, file }: Asked): Promise<Response> {
    const limits = [this.signal, file === undefined && method === "POST" ? AbortSignal.timeout(ANSWER_MS) : undefined];
    const response = await fetch(new URL(path, this.server.url), {
      method,
      headers: {
        authorization: `Bearer ${this.server.token}`,
        ...(json === undefined ? {} : { "content-type": "application/json" }),
        ...(file === undefined
          ? {}
          : { "content-type": "application/octet-stream", "content-length": String((await stat(file)).size) }),
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(file === undefined ? {} : { body: Readable.toWeb(createReadStream(file)) as never, duplex: "half" }),
      signal: AbortSignal.any(limits.filter((signal) => signal !== undefined)),
    } as RequestInit);
    if (response.ok) return response;
    const told = Told.safeParse(await response.json().catch(() => undefined)).data?.error;
    if (told?.code === "lease_lost") throw new ServiceError("lease_lost", told.message);
    if (told?.code === "disk_full") throw new ServiceError("disk_full", told.message);
    if (response.status === 408 || response.status === 429 || response.status >= 500)
      throw new TypeError("server busy");
    throw new BoosterError("WORKER_REFUSED", "the server refuses what the worker asks", {
      found: `${response.status} ${told?.code ?? ""} ${told?.message ?? ""}`.trim(),
      where: path.replace(/\?.*$/, ""),
    });
  }
}

const raise = (error: unknown): never => {
  throw error;
};

const noRoom = (ms: number, cause: unknown): BoosterError =>
  new BoosterError("DISK_FULL", "the server's disk has no room for what the job made", {
    found: `none for ${Math.round(ms / 60_000)} minutes`,
    hint: "Make room there, then start the job again",
    cause,
  });
