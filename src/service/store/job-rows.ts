import { z } from "zod";
import { newId } from "../domain/ids.ts";
import {
  type Job,
  type JobError,
  type JobEvent,
  type JobSpec,
  STATUSES,
  type StageOutputs,
  WORK,
} from "../domain/job.ts";
import type { Sql } from "./database.ts";

export const JOB_COLUMNS = `id, seq, project_id, model, publish_as, suffix, metadata, spec, status, stage, wish, worker, epoch,
  beat, crashes, step, error, outputs, result_files, fine_tuned_model, created_at, held_at, estimated_finish, finished_at`;

export const jobRow = z
  .object({
    id: z.string(),
    seq: z.number(),
    project_id: z.string(),
    model: z.string(),
    publish_as: z.string(),
    suffix: z.string().nullable(),
    metadata: z.record(z.string(), z.string()).nullable(),
    spec: z.custom<JobSpec>(),
    status: z.enum(STATUSES),
    stage: z.enum([...WORK, "held", "done"]),
    wish: z.literal("pause").nullable(),
    worker: z.string().nullable(),
    epoch: z.number(),
    beat: z.number(),
    crashes: z.number(),
    step: z.number(),
    error: z.custom<JobError>().nullable(),
    outputs: z.custom<StageOutputs>(),
    result_files: z.array(z.string()),
    fine_tuned_model: z.string().nullable(),
    created_at: z.number(),
    held_at: z.number().nullable(),
    estimated_finish: z.number().nullable(),
    finished_at: z.number().nullable(),
  })
  .transform(
    (row): Job => ({
      id: row.id,
      project: row.project_id,
      seq: row.seq,
      createdAt: row.created_at,
      heldAt: row.held_at,
      estimatedFinish: row.estimated_finish,
      finishedAt: row.finished_at,
      model: row.model,
      publishAs: row.publish_as,
      suffix: row.suffix,
      metadata: row.metadata,
      spec: row.spec,
      status: row.status,
      stage: row.stage,
      wish: row.wish,
      worker: row.worker,
      epoch: row.epoch,
      beat: row.beat,
      crashes: row.crashes,
      step: row.step,
      error: row.error,
      fineTunedModel: row.fine_tuned_model,
      resultFiles: row.result_files,
      outputs: row.outputs,
    }),
  );

/** SQL of the status of a job that waits for its stage: what clients see. */
export const waitingStatus = "case when stage in ('validate', 'moderate') then 'validating_files' else 'queued' end";

/** Adds to a job's events what the server itself has to say, inside the transaction that makes it so. */
export async function appendEvent(sql: Sql, job: string, event: JobEvent, now: number): Promise<void> {
  await sql.query(
    `with own as (update jobs set next_seq = next_seq + 1 where id = $1 returning id, next_seq, epoch)
     insert into job_events (job_id, seq, id, epoch, level, type, message, data, created_at)
     select id, next_seq, $2, epoch, $3, $4, $5, $6::jsonb, $7 from own`,
    [job, newId("event"), event.level, event.type, event.message, jsonOrNull(event.data), now],
  );
}

export const jsonOrNull = (value: unknown): string | null =>
  value === undefined || value === null ? null : JSON.stringify(value);

export const message = (text: string, level: JobEvent["level"] = "info"): JobEvent => ({
  level,
  type: "message",
  message: text,
});
