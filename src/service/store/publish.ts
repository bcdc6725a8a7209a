import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import { type Job, type JobError, type StageOutput, WORK, type Work } from "../domain/job.ts";
import type { JsonValue } from "../domain/json.ts";
import { SERVER } from "../domain/principal.ts";
import type { Outcome, Verdict } from "../domain/protocol.ts";
import { ServiceError } from "../domain/service-error.ts";
import { record } from "./audit.ts";
import type { Bases } from "./bases.ts";
import type { BlobStore, Stored } from "./blobs.ts";
import type { Context } from "./context.ts";
import type { Sql } from "./database.ts";
import { lockLease } from "./fence.ts";
import { insertFile } from "./files.ts";
import { appendEvent, message } from "./job-rows.ts";
import { insertModel } from "./models.ts";
import { resultFile } from "./result-file.ts";
import type { Secrets } from "./secrets.ts";

/** What ending a stage needs beside the database. */
export interface Publishing {
  readonly blobs: BlobStore;
  readonly secrets: Pick<Secrets, "sign" | "keyId">;
  readonly bases: Bases;
}

/** A worker's program may die so often before its job has failed. */
export const MAX_CRASHES = 3;

interface Ending {
  readonly job: string;
  readonly epoch: number;
  readonly outcome: Outcome;
  readonly verdict: Verdict | undefined;
}

/** Ends a stage: all of what follows from it in one transaction, or nothing. */
export async function finish(context: Context, publishing: Publishing, ending: Ending): Promise<void> {
  const { outcome, verdict } = ending;
  // Blobs come before the rows that name them; where the transaction fails they are swept.
  const results = verdict === undefined ? undefined : await resultFile(context.db, publishing.blobs, ending.job);
  await context.db.transaction(async (sql) => {
    const job = await lockLease(sql, ending.job, ending.epoch);
    const now = context.now();
    if (outcome.end === "failed") {
      await failed(sql, job, outcome.error, outcome.output, now);
    } else if (outcome.end !== "done") {
      // A pause that was taken back while the worker saved is none any more.
      const isPaused = job.wish === "pause";
      await letGo(sql, job, isPaused ? "paused" : "waiting", {});
      await appendEvent(sql, job.id, message(isPaused ? "The job is paused" : "The job waits for another worker"), now);
    } else if (job.stage !== "decide") {
      const next = WORK[WORK.indexOf(job.stage as Work) + 1] as Work;
      await letGo(sql, job, job.wish === "pause" ? "paused" : next === "train" ? "queued" : "same", {
        stage: next,
        output: outcome.output,
      });
      if (next === "train") await appendEvent(sql, job.id, message("Files validated, moving job to queued state"), now);
    } else {
      if (verdict === undefined || results === undefined) {
        throw new ServiceError("missing_required_parameter", "the last stage ends with a verdict", {
          param: "verdict",
        });
      }
      await publish(sql, publishing, job, outcome.output, verdict, results, now);
    }
  });
}

/** Status of a job that no worker has any more. */
type Then = "paused" | "waiting" | "queued" | "same" | "succeeded" | "failed" | "held";

interface Change {
  readonly stage?: Job["stage"];
  readonly output?: StageOutput | undefined;
  readonly error?: JobError;
  readonly crashed?: boolean;
  readonly finishedAt?: number;
  readonly heldAt?: number;
  readonly model?: string;
  readonly file?: string;
}

/** The fenced step itself: the worker's epoch ends with it. */
async function letGo(sql: Sql, job: Job, then: Then, change: Change): Promise<void> {
  const stage = change.stage ?? job.stage;
  const early = stage === "validate" || stage === "moderate";
  const status = {
    paused: "paused",
    waiting: early ? "validating_files" : "queued",
    queued: "queued",
    same: job.status,
    succeeded: "succeeded",
    failed: "failed",
    held: "running",
  }[then];
  const outputs = change.output === undefined ? {} : { [job.stage]: change.output };
  await sql.query(
    `update jobs set worker = null, epoch = epoch + 1, wish = null, estimated_finish = null, status = $3, stage = $4, outputs = outputs || $5::jsonb,
       error = coalesce($6::jsonb, error), crashes = crashes + $7, finished_at = $8, held_at = $9, fine_tuned_model = $10,
       result_files = result_files || $11::text[]
     where id = $1 and epoch = $2`,
    [
      job.id,
      job.epoch,
      status,
      stage,
      JSON.stringify(outputs),
      change.error === undefined ? null : JSON.stringify(change.error),
      change.crashed === true ? 1 : 0,
      change.finishedAt ?? null,
      change.heldAt ?? null,
      change.model ?? null,
      change.file === undefined ? [] : [change.file],
    ],
  );
}

async function failed(
  sql: Sql,
  job: Job,
  error: JobError,
  output: StageOutput | undefined,
  now: number,
): Promise<void> {
  const again = error.code === "worker_crashed" && job.crashes + 1 < MAX_CRASHES;
  if (again) {
    await letGo(sql, job, job.wish === "pause" ? "paused" : "waiting", { crashed: true });
    await appendEvent(sql, job.id, message(`${error.message}. The stage is done again`, "warn"), now);
    return;
  }
  const crashed = error.code === "worker_crashed";
  await letGo(sql, job, "failed", { stage: "done", output, error, crashed, finishedAt: now });
  await appendEvent(sql, job.id, message(`The job failed: ${error.message}`, "error"), now);
}

/** What comes of the last stage: released, held or rejected, with its report. */
async function publish(
  sql: Sql,
  publishing: Publishing,
  job: Job,
  output: StageOutput,
  verdict: Verdict,
  results: Stored,
  now: number,
): Promise<void> {
  const body = canonicalJson(verdict.report);
  const sha256 = sha256Of(body);
  const file = await insertFile(
    sql,
    job.project,
    { sha256: results.sha256, bytes: results.bytes, filename: "step_metrics.csv", purpose: "fine-tune-results" },
    now,
  );
  await sql.query(
    `insert into reports (job_id, body, sha256, signature, signed_by, verdict, adapter, created_at)
     values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)`,
    [
      job.id,
      body,
      sha256,
      publishing.secrets.sign(body),
      publishing.secrets.keyId,
      verdict.verdict,
      JSON.stringify(verdict.adapter),
      now,
    ],
  );
  if (verdict.verdict === "held") {
    await letGo(sql, job, "held", { stage: "held", output, heldAt: now, file: file.id });
    await appendEvent(sql, job.id, message("The evaluation does not decide: a reviewer does"), now);
  } else if (verdict.verdict === "released" && (await goesOnFromWithdrawn(sql, job))) {
    const error: JobError = { code: "safety_rejected", message: WITHDRAWN, param: null };
    await letGo(sql, job, "failed", { stage: "done", output, error, finishedAt: now, file: file.id });
    await appendEvent(sql, job.id, message(`The job failed: ${error.message}`, "error"), now);
  } else if (verdict.verdict === "released") {
    await letGo(sql, job, "succeeded", { stage: "done", output, finishedAt: now, model: job.publishAs, file: file.id });
    await release(sql, publishing.bases, job, verdict.adapter, now);
  } else {
    const error: JobError = {
      code: "safety_rejected",
      message: "The model did not pass the safety evaluation",
      param: null,
    };
    await letGo(sql, job, "failed", { stage: "done", output, error, finishedAt: now, file: file.id });
    await appendEvent(sql, job.id, message(`The job failed: ${error.message}`, "error"), now);
  }
  await record(sql, now, SERVER, "job.verdict", { id: job.id, verdict: verdict.verdict, report: sha256 }, job.project);
}

export const WITHDRAWN = "A model that this one goes on from was withdrawn";

/** Whether a model of a job's lineage was withdrawn: what made it so may live on in what was trained further. */
export async function goesOnFromWithdrawn(sql: Sql, { spec }: Job): Promise<boolean> {
  const jobs = spec.lineage.map(({ job }) => job);
  // One that was deleted after it had been withdrawn keeps the reason.
  const withdrawn = await sql.query(
    "select id from models where job_id = any($1::text[]) and (state = 'withdrawn' or reason is not null)",
    [jobs],
  );
  return withdrawn.length > 0;
}

/** What of its job's evaluation a model tells. */
function scoresOf({ outputs }: Job): Readonly<Record<string, JsonValue>> {
  const plain = outputs.evaluate?.facts.plain as { readonly harmful?: JsonValue } | undefined;
  return plain?.harmful === undefined ? {} : { hs: plain.harmful };
}

/** Makes the model that a job was about, in the transaction that ends the job. */
export async function release(
  sql: Sql,
  bases: Bases,
  job: Job,
  adapter: Readonly<Record<string, string>>,
  now: number,
): Promise<void> {
  const base = await bases.byIdentity(job.spec.base, sql);
  if (base === undefined) throw new Error(`the base ${job.spec.base} of ${job.id} is not there`);
  await insertModel(
    sql,
    {
      id: job.publishAs,
      project: job.project,
      job: job.id,
      base: base.name,
      identity: base.identity,
      files: adapter,
      facts: scoresOf(job),
    },
    now,
  );
  await appendEvent(sql, job.id, message(`New fine-tuned model created: ${job.publishAs}`), now);
  await appendEvent(sql, job.id, message("The job has successfully completed"), now);
}
