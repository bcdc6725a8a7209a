import { z } from "zod";
import { EVENT_TYPES } from "../domain/job.ts";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import { type Context, type Page, type PageAsk, page } from "./context.ts";

const eventRow = z
  .object({
    id: z.string(),
    job_id: z.string(),
    seq: z.number(),
    level: z.enum(["info", "warn", "error"]),
    type: z.enum(EVENT_TYPES),
    message: z.string(),
    data: z.custom<Readonly<Record<string, JsonValue>>>().nullable(),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    job: row.job_id,
    /** 1, 2, 3 ... without gaps, in the order in which they became visible. */
    seq: row.seq,
    level: row.level,
    type: row.type,
    message: row.message,
    data: row.data,
    createdAt: row.created_at,
  }));
export type StoredEvent = Readonly<z.infer<typeof eventRow>>;
const EVENT = "id, job_id, seq, level, type, message, data, created_at";

const checkpointRow = z
  .object({
    id: z.string(),
    job_id: z.string(),
    step: z.number(),
    files: z.record(z.string(), z.string()),
    metrics: z.record(z.string(), z.number()),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    job: row.job_id,
    step: row.step,
    files: row.files,
    metrics: row.metrics,
    createdAt: row.created_at,
  }));
export type Checkpoint = Readonly<z.infer<typeof checkpointRow>>;

const metricsRow = z.object({ step: z.number(), metrics: z.record(z.string(), z.number()) });
/** Values of one step by their name. */
export type StepMetrics = Readonly<z.infer<typeof metricsRow>>;

/** That a row's job is one of the principal's project, `$1`. */
const MINE = "exists (select 1 from jobs where jobs.id = job_id and jobs.project_id = $1)";

/** What a job has left: events, metrics, checkpoints. */
export class JobRecords {
  constructor(private readonly context: Context) {}

  /** Newest first. */
  events(principal: Principal, job: string, ask: PageAsk): Promise<Page<StoredEvent>> {
    return page(
      this.context.db,
      {
        table: "job_events",
        columns: EVENT,
        scope: `${MINE} and job_id = $2`,
        params: [principal.project ?? null, job],
        row: eventRow,
      },
      ask,
    );
  }

  /** Of several jobs, those behind the given numbers, oldest first: what a stream sends next. */
  eventsSince(principal: Principal, after: Readonly<Record<string, number>>, limit: number): Promise<StoredEvent[]> {
    return this.context.db.query(
      `select ${EVENT} from job_events join unnest($2::text[], $3::bigint[]) as seen (job, last)
         on job_id = seen.job and seq > seen.last
       where ${MINE} order by job_id, seq limit $4`,
      [principal.project ?? null, Object.keys(after), Object.values(after), limit],
      eventRow,
    );
  }

  /** Of epochs' ends, newest first. */
  checkpoints(principal: Principal, job: string, ask: PageAsk): Promise<Page<Checkpoint>> {
    return page(
      this.context.db,
      {
        table: "checkpoints",
        columns: "id, job_id, step, files, metrics, created_at",
        scope: `${MINE} and job_id = $2 and epoch_end`,
        params: [principal.project ?? null, job],
        row: checkpointRow,
      },
      ask,
    );
  }

  /** Of every step behind `after`, in order. */
  metrics(
    principal: Principal,
    job: string,
    ask: { readonly after?: number; readonly limit: number },
  ): Promise<StepMetrics[]> {
    return this.context.db.query(
      `select step, metrics from job_metrics where ${MINE} and job_id = $2 and step > $3 order by step limit $4`,
      [principal.project ?? null, job, ask.after ?? -1, ask.limit],
      metricsRow,
    );
  }
}
