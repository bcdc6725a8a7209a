import type { Job, JobError, JobEvent, JobSpec, Slot, StageOutput, StageOutputs, Work } from "./job.ts";
import type { JsonValue } from "./json.ts";

/** A worker's hold on a job. All that it writes names the epoch; one that is no longer current changes nothing (HTTP 400 `lease_lost`). */
export interface Claim {
  readonly job: Job["id"];
  readonly epoch: number;
  readonly stage: Work;
  readonly step: number;
  /** Seconds since the job was last told anything of: how long it has waited. */
  readonly waited: number;
  readonly spec: JobSpec;
  readonly outputs: StageOutputs;
  /** The newest checkpoint of the training, to go on from: file names to SHA-256. */
  readonly checkpoint?: { readonly step: number; readonly files: Readonly<Record<string, string>> };
  /** Folder or reference of the base on this server's host is never told: files by hash. */
  readonly base: { readonly identity: string; readonly files: Readonly<Record<string, string>> };
}

/** How a stage ended, beside what it put out. */
export type Outcome =
  | { readonly end: "done"; readonly output: StageOutput }
  | { readonly end: "paused" | "released_lease" }
  | { readonly end: "failed"; readonly error: JobError; readonly output?: StageOutput };

/** What a worker's time went into, for the metrics. */
export interface Took {
  readonly stage: Work;
  readonly seconds: number;
}

/** The last stage's word: what becomes of the model. */
export interface Verdict {
  readonly verdict: "released" | "held" | "rejected";
  /** The report, without signature; the server signs it. */
  readonly report: JsonValue;
  /** Files of the adapter to serve, by SHA-256. */
  readonly adapter: Readonly<Record<string, string>>;
}

/** What a worker tells of itself whenever it asks for work. */
export interface WorkerFacts {
  readonly id: string;
  readonly slots: readonly Slot[];
  readonly threads: number;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

/**
 * What a worker asks the server, the same on one host and on many. The HTTP client of `worker/` and the handlers of `http/` are its two sides;
 * every answer and body is JSON but that of a blob:
 *
 *     POST /internal/claim                  WorkerFacts            { claim: Claim | null }
 *     POST /internal/jobs/{id}/beat         { epoch, step, left? } { wish }
 *     POST /internal/jobs/{id}/events       { epoch, event }       {}
 *     POST /internal/jobs/{id}/metrics      { epoch, rows }        {}
 *     POST /internal/jobs/{id}/checkpoints  { epoch, checkpoint }  {}
 *     POST /internal/jobs/{id}/finish       { epoch, outcome, verdict?, took? }  {}
 *     GET  /internal/blobs/{sha256}?job={id}&epoch={n}             bytes, of what the claim names
 *     PUT  /internal/blobs?job={id}&epoch={n}  bytes               { sha256 }; with &sealed=1 only the server can read them
 *
 * A write under an epoch that is over: 400 `lease_lost`, and nothing has changed. `undefined` from `claim`: nothing to do.
 */
export interface WorkerProtocol {
  claim(worker: WorkerFacts): Promise<Claim | undefined>;
  /** Every 5 s. `lost`: stop at once. `left`: seconds until the training will be done. */
  beat(job: string, epoch: number, step: number, left?: number): Promise<{ readonly wish: "pause" | "none" | "lost" }>;
  event(job: string, epoch: number, event: JobEvent): Promise<void>;
  metrics(job: string, epoch: number, rows: readonly Readonly<Record<string, number>>[]): Promise<void>;
  checkpoint(
    job: string,
    epoch: number,
    checkpoint: {
      readonly step: number;
      /** Of an epoch's end: shown to users and kept (three newest); others serve only to go on from. */
      readonly epochEnd: boolean;
      readonly files: Readonly<Record<string, string>>;
      readonly metrics: Readonly<Record<string, number>>;
    },
  ): Promise<void>;
  finish(job: string, epoch: number, outcome: Outcome, verdict?: Verdict, took?: Took): Promise<void>;
  /** Writes a blob into a file; what came is compared with its hash. Only what a claim names can be had: of its spec, outputs, checkpoint, base and policy's sets. */
  readBlob(job: string, epoch: number, sha256: string, to: string): Promise<void>;
  /** @param sealed kept so that nobody but the server can read them, for whom it opens them: texts of models and tenants */
  writeBlob(job: string, epoch: number, from: string, sealed?: boolean): Promise<string>;
}
