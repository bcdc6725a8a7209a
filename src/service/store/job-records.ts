import { z } from "zod";
import { EVENT_TYPES, STATUSES, WORK } from "../domain/job.ts";
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

const stateRow = z
  .object({
    id: z.string(),
    seq: z.number(),
    status: z.enum(STATUSES),
    stage: z.enum([...WORK, "held", "done"]),
    wish: z.literal("pause").nullable(),
    step: z.number(),
    steps: z.number().nullable(),
    error: z.string().nullable(),
    fine_tuned_model: z.string().nullable(),
    next_seq: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    seq: row.seq,
    status: row.status,
    stage: row.stage,
    wish: row.wish,
    step: row.step,
    /** In all, once the rows are counted. */
    steps: row.steps,
    /** Code of its error. */
    error: row.error,
    fineTunedModel: row.fine_tuned_model,
    /** Number of its last event. */
    lastEvent: row.next_seq,
  }));
/** Where a job is, in few words. */
export type JobState = Readonly<z.infer<typeof stateRow>>;
/** Jobs of one look: those that are open first, by age. */
const STATES = 1000;

/** Jobs that the principal may see change: its project's; without a project those that are held or were, of these in `$3`, if it may review (`$2`). */
const CHANGING =
  "(project_id = $1 or ($1::text is null and $2::boolean and (stage = 'held' or (held_at is not null and id = any($3::text[])))))";

/** Seconds: of training for each token of its rows and epochs, and of all else that a job needs. */
export interface Pace {
  readonly perToken: number;
  readonly besides: number;
}

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

  /** Jobs that are not over, and of the others those in `known` and those that are younger than `after`. */
  states(
    { project, scopes }: Principal,
    { after, known }: { readonly after: number; readonly known: readonly string[] },
  ): Promise<JobState[]> {
    return this.context.db.query(
      `select id, seq, status, stage, wish, step, (outputs #>> '{validate,facts,steps}')::float8::bigint as steps,
         error ->> 'code' as error, fine_tuned_model, next_seq
       from jobs where ${CHANGING} and (stage <> 'done' or seq > $4 or id = any($3::text[])) order by seq limit ${STATES}`,
      [project ?? null, scopes.includes("review"), known, after],
      stateRow,
    );
  }

  /** The place of a job of the principal's project in its list, or of the newest one. */
  async place(
    { project }: Principal,
    job?: string,
  ): Promise<{ readonly id: string; readonly seq: number } | undefined> {
    const [place] = await this.context.db.query(
      "select id, seq from jobs where project_id = $1 and ($2::text is null or id = $2) order by seq desc limit 1",
      [project ?? null, job ?? null],
      z.object({ id: z.string(), seq: z.number() }),
    );
    return place;
  }

  /** What the newest job on a base took whose training is done, as far as its events tell. */
  async pace(base: string): Promise<Pace | undefined> {
    const [pace] = await this.context.db.query(
      `select (outputs #>> '{validate,facts,tokens}')::float8 * (outputs #>> '{validate,facts,hyperparameters,n_epochs}')::float8 as tokens,
         (outputs #>> '{train,facts,steps}')::float8 as steps, seen.*
       from jobs, lateral (
         select max(created_at) - min(created_at) as whole,
           max(created_at) filter (where type = 'metrics') - min(created_at) filter (where type = 'metrics') as training,
           max((data ->> 'step')::float8) filter (where type = 'metrics') - min((data ->> 'step')::float8) filter (where type = 'metrics') as counted
         from job_events where job_id = id) seen
       where status = 'succeeded' and spec ->> 'base' = $1 and counted > 0 order by seq desc limit 1`,
      [base],
      z.object({ tokens: z.number(), steps: z.number(), whole: z.number(), training: z.number(), counted: z.number() }),
    );
    if (pace === undefined) return undefined;
    const training = (pace.training / pace.counted) * pace.steps;
    return { perToken: training / pace.tokens, besides: Math.max(0, pace.whole - training) };
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
