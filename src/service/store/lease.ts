import { z } from "zod";
import { newId } from "../domain/ids.ts";
import { type JobEvent, SLOTS, type Work } from "../domain/job.ts";
import { LIMITS } from "../domain/limits.ts";
import type { Claim, Outcome, Verdict, WorkerFacts, WorkerProtocol } from "../domain/protocol.ts";
import type { Bases } from "./bases.ts";
import type { Context } from "./context.ts";
import type { Sql } from "./database.ts";
import { HELD, leaseLost, lockLease } from "./fence.ts";
import { appendEvent, JOB_COLUMNS, jobRow, jsonOrNull, message } from "./job-rows.ts";
import { finish, type Publishing } from "./publish.ts";

/** How many checkpoints of epochs' ends stay, and how many of any kind to go on from. */
const KEPT_EPOCHS = 3;
const KEPT_NEWEST = 2;

/** Any number that only claims take: of workers that ask at once each counts what those before it were given. */
const CLAIMS = 7_205_760;

/** No estimate says more. */
const FAR_SECONDS = 1_000_000_000;

const STARTS: Readonly<Record<Work, string>> = {
  validate: "Validating training file",
  moderate: "Moderating the training rows",
  train: "Fine-tuning job started",
  repair: "Repairing the adapter",
  evaluate: "Evaluation started",
  decide: "Deciding on the release",
};

/** The server's side of what workers say, over the database. Handlers of HTTP call it one to one. */
export class Leases implements Omit<WorkerProtocol, "readBlob" | "writeBlob"> {
  constructor(
    private readonly context: Context,
    private readonly bases: Bases,
    private readonly publishing: Publishing,
  ) {}

  /** The next piece of work that fits the worker, of a project that has not its share of workers yet. */
  claim(worker: WorkerFacts): Promise<Claim | undefined> {
    const stages = worker.slots.flatMap((slot): readonly Work[] => SLOTS[slot]);
    return this.context.db.transaction(async (sql) => {
      await sql.query("select pg_advisory_xact_lock($1)", [CLAIMS]);
      const [job] = await sql.query(
        `update jobs set worker = $1, epoch = epoch + 1, beat = 0,
           status = case when stage in ('validate', 'moderate') then 'validating_files' else 'running' end
         where id = (
           select id from jobs waiting where worker is null and stage = any($2::text[])
             and status in ('validating_files', 'queued', 'running') and (spec->>'threads')::int <= $3
             and (select count(*) from jobs busy where busy.project_id = waiting.project_id and busy.worker is not null) < $4
           order by priority desc, seq limit 1 for update skip locked)
         returning ${JOB_COLUMNS}`,
        [worker.id, stages, worker.threads, LIMITS.jobsRunning],
        jobRow,
      );
      if (job === undefined) return undefined;
      const base = await this.bases.byIdentity(job.spec.base, sql);
      if (base === undefined) throw new Error(`the base ${job.spec.base} of ${job.id} is not there`);
      const stage = job.stage as Work;
      const now = this.context.now();
      const [last] = await sql.query(
        "select created_at from job_events where job_id = $1 order by seq desc limit 1",
        [job.id],
        z.object({ created_at: z.number() }),
      );
      await appendEvent(sql, job.id, message(STARTS[stage]), now);
      const checkpoint = stage === "train" ? await newestCheckpoint(sql, job.id) : undefined;
      return {
        job: job.id,
        epoch: job.epoch,
        stage,
        step: job.step,
        waited: Math.max(0, now - (last?.created_at ?? now)),
        spec: job.spec,
        outputs: job.outputs,
        ...(checkpoint === undefined ? {} : { checkpoint }),
        base: { identity: base.identity, files: base.files },
      };
    });
  }

  async beat(
    job: string,
    epoch: number,
    step: number,
    left?: number,
  ): Promise<{ readonly wish: "pause" | "none" | "lost" }> {
    const [row] = await this.context.db.query(
      `update jobs set beat = beat + 1, step = greatest(step, $3), estimated_finish = $4 where ${HELD} returning wish`,
      [job, epoch, step, left === undefined ? null : this.context.now() + Math.ceil(Math.min(left, FAR_SECONDS))],
      z.object({ wish: z.literal("pause").nullable() }),
    );
    return { wish: row === undefined ? "lost" : (row.wish ?? "none") };
  }

  /** @throws {ServiceError} `lease_lost`, as every write of a worker whose time is over */
  async event(job: string, epoch: number, event: JobEvent): Promise<void> {
    const added = await this.context.db.query(
      `with own as (update jobs set next_seq = next_seq + 1 where ${HELD} returning id, next_seq, epoch)
       insert into job_events (job_id, seq, id, epoch, level, type, message, data, created_at)
       select id, next_seq, $3, epoch, $4, $5, $6, $7::jsonb, $8 from own returning seq`,
      [job, epoch, newId("event"), event.level, event.type, event.message, jsonOrNull(event.data), this.context.now()],
    );
    if (added.length === 0) throw leaseLost(job);
  }

  /** Values of steps, each with its `step`. Steps that were done again count once. */
  async metrics(job: string, epoch: number, rows: readonly Readonly<Record<string, number>>[]): Promise<void> {
    const own = await this.context.db.query(
      `with own as (select id from jobs where ${HELD} for no key update),
         added as (
           insert into job_metrics (job_id, step, metrics)
           select own.id, (row->>'step')::bigint, row - 'step' from own, jsonb_array_elements($3::jsonb) as row
           on conflict do nothing)
       select id from own`,
      [job, epoch, JSON.stringify(rows)],
    );
    if (own.length === 0) throw leaseLost(job);
  }

  checkpoint(job: string, epoch: number, checkpoint: Parameters<WorkerProtocol["checkpoint"]>[2]): Promise<void> {
    return this.context.db.transaction(async (sql) => {
      await lockLease(sql, job, epoch);
      const now = this.context.now();
      await sql.query(
        `insert into checkpoints (id, job_id, step, epoch_end, files, metrics, created_at)
         values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7)
         on conflict (job_id, step) do update set files = excluded.files, metrics = excluded.metrics,
           epoch_end = checkpoints.epoch_end or excluded.epoch_end`,
        [
          newId("checkpoint"),
          job,
          checkpoint.step,
          checkpoint.epochEnd,
          JSON.stringify(checkpoint.files),
          JSON.stringify(checkpoint.metrics),
          now,
        ],
      );
      await sql.query(
        `delete from checkpoints where job_id = $1
           and step not in (select step from checkpoints where job_id = $1 and epoch_end order by step desc limit ${KEPT_EPOCHS})
           and step not in (select step from checkpoints where job_id = $1 order by step desc limit ${KEPT_NEWEST})`,
        [job],
      );
      if (checkpoint.epochEnd)
        await appendEvent(sql, job, message(`Checkpoint created at step ${checkpoint.step}`), now);
    });
  }

  /** A worker stored a blob for a job. @throws {ServiceError} `lease_lost` */
  async wrote(job: string, epoch: number, sha256: string): Promise<void> {
    const own = await this.context.db.query(
      `with own as (select id from jobs where ${HELD} for no key update),
         added as (insert into job_blobs (job_id, sha256) select id, $3 from own on conflict do nothing)
       select id from own`,
      [job, epoch, sha256],
    );
    if (own.length === 0) throw leaseLost(job);
  }

  /**
   * The blobs that a claim names: what its worker may read. Of what workers said of the job only what workers stored for it: a hash that one has come to know
   * somewhere else opens nothing.
   *
   * @throws {ServiceError} `lease_lost`
   */
  reads(job: string, epoch: number): Promise<ReadonlySet<string>> {
    return this.context.db.transaction(async (sql) => {
      const held = await lockLease(sql, job, epoch);
      const base = await this.bases.byIdentity(held.spec.base, sql);
      const checkpoint = await newestCheckpoint(sql, job);
      const stored = await sql.query(
        "select sha256 from job_blobs where job_id = $1",
        [job],
        z.object({ sha256: z.string() }),
      );
      const own = new Set(stored.map(({ sha256 }) => sha256));
      const said = hashesIn([held.outputs, checkpoint?.files]).filter((sha256) => own.has(sha256));
      return new Set([...hashesIn([held.spec, base?.files]), ...said]);
    });
  }

  /** The end of a stage. @throws {ServiceError} `lease_lost`, and then nothing has changed */
  async finish(job: string, epoch: number, outcome: Outcome, verdict?: Verdict): Promise<void> {
    await finish(this.context, this.publishing, { job, epoch, outcome, verdict });
  }
}

/** Whatever looks like a blob's name; a user's file name may look like one as well. */
function hashesIn(value: unknown): string[] {
  const text = JSON.stringify(value, (key, part: unknown) => (key === "filename" ? undefined : part));
  return Array.from(text.matchAll(/"([0-9a-f]{64})"/g), ([, sha256]) => sha256 as string);
}

async function newestCheckpoint(sql: Sql, job: string) {
  const [checkpoint] = await sql.query(
    "select step, files from checkpoints where job_id = $1 order by step desc limit 1",
    [job],
    z.object({ step: z.number(), files: z.record(z.string(), z.string()) }),
  );
  return checkpoint;
}
