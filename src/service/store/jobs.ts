import { z } from "zod";
import { newId } from "../domain/ids.ts";
import type { Job, JobEvent, JobSpec } from "../domain/job.ts";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { type AuditType, record } from "./audit.ts";
import { type Context, checkQuota, enterProject, type Page, type PageAsk, page } from "./context.ts";
import type { Sql } from "./database.ts";
import { appendEvent, JOB_COLUMNS, jobRow, jsonOrNull, message, waitingStatus } from "./job-rows.ts";
import { type Once, once } from "./once.ts";

export interface NewJob {
  readonly model: string;
  /** `ft:<base>:<org>:<suffix>:<random>`. */
  readonly publishAs: string;
  readonly suffix?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly spec: JobSpec;
  readonly once?: Once | undefined;
}

/** Jobs of tenants, and what tenants may ask of them. What workers do to them is in `lease.ts`. */
export class Jobs {
  constructor(private readonly context: Context) {}

  /** @throws {ServiceError} `idempotency_mismatch`, `quota_exceeded`, `project_archived` */
  create(principal: Principal, wanted: NewJob): Promise<Job> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const project = await enterProject(sql, principal);
      const fresh = newId("job");
      const id = await once(sql, principal, wanted.once, fresh, now);
      if (id === fresh) {
        const [there] = await sql.query(
          `select (select count(*)::int from jobs where project_id = $1 and stage <> 'done') as jobs,
             (select count(*)::int from models where project_id = $1 and state <> 'deleted') as models`,
          [project],
          z.object({ jobs: z.number(), models: z.number() }),
        );
        const jobs = (there?.jobs ?? 0) + 1;
        checkQuota(jobs, LIMITS.jobsQueued, "unfinished jobs");
        checkQuota(jobs + (there?.models ?? 0), LIMITS.modelsPerProject, "models");
        await sql.query(
          `insert into jobs (id, project_id, model, publish_as, suffix, metadata, spec, status, stage, created_at)
           values ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, 'validating_files', 'validate', $8)`,
          [
            id,
            project,
            wanted.model,
            wanted.publishAs,
            wanted.suffix ?? null,
            jsonOrNull(wanted.metadata),
            JSON.stringify(wanted.spec),
            now,
          ],
        );
        await appendEvent(sql, id, message(`Created fine-tuning job: ${id}`), now);
        await record(sql, now, principal, "job.created", { id, model: wanted.model });
      }
      const job = await find(sql, principal, id);
      if (job === undefined) throw new Error("a job vanished");
      return job;
    });
  }

  get(principal: Principal, id: string): Promise<Job | undefined> {
    return find(this.context.db, principal, id);
  }

  /** `metadata`: jobs that have all these pairs; `null`: those without any. */
  list(
    principal: Principal,
    ask: PageAsk & { readonly metadata?: Readonly<Record<string, string>> | null | undefined },
  ): Promise<Page<Job>> {
    return page(
      this.context.db,
      {
        table: "jobs",
        columns: JOB_COLUMNS,
        scope: "project_id = $1",
        filter: "($2::jsonb is null or metadata @> $2::jsonb) and (not $3::boolean or metadata is null)",
        params: [principal.project ?? null],
        filterParams: [jsonOrNull(ask.metadata), ask.metadata === null],
        row: jobRow,
      },
      ask,
    );
  }

  /** How many jobs of all projects are at each stage, but those that are over: for whoever runs the server. */
  async counts(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.context.db.query(
      "select stage, count(*)::int as jobs from jobs where stage <> 'done' group by stage",
      [],
      z.object({ stage: z.string(), jobs: z.number() }),
    );
    return new Map(rows.map(({ stage, jobs }) => [stage, jobs]));
  }

  /** Seconds for which the oldest held job has waited for a reviewer; 0 where none is held. */
  async heldFor(): Promise<number> {
    const [row] = await this.context.db.query(
      "select min(held_at) as since from jobs where stage = 'held'",
      [],
      z.object({ since: z.number().nullable() }),
    );
    return row?.since == null ? 0 : Math.max(0, this.context.now() - row.since);
  }

  /** How many jobs are to be worked on before this one; undefined where it does not wait. */
  async position(job: Job): Promise<number | undefined> {
    const [row] = await this.context.db.query(
      `select (select count(*)::int from jobs other where other.worker is null
         and other.status in ('validating_files', 'queued', 'running') and other.stage not in ('held', 'done')
         and (other.priority, -other.seq) > (mine.priority, -mine.seq)) as before
       from jobs mine where mine.id = $1 and mine.worker is null
         and mine.status in ('validating_files', 'queued', 'running') and mine.stage not in ('held', 'done')`,
      [job.id],
      z.object({ before: z.number() }),
    );
    return row?.before;
  }

  /**
   * At once: the worker finds out at its next statement. Nothing: there is no such job.
   *
   * @throws {ServiceError} `invalid_job_state` where it is over
   */
  cancel(principal: Principal, id: string): Promise<Job | undefined> {
    return this.#change(principal, id, "job.cancelled", message("The job was cancelled"), {
      set: `status = 'cancelled', stage = 'done', worker = null, epoch = epoch + 1, wish = null, estimated_finish = null, finished_at = $3`,
      where: "stage <> 'done'",
      params: [this.context.now()],
    });
  }

  /**
   * A job that waits is paused at once, one that is worked on when its worker has saved it: `wish` is "pause" until then.
   *
   * @throws {ServiceError} `invalid_job_state` where it is held, paused or over
   */
  pause(principal: Principal, id: string): Promise<Job | undefined> {
    return this.#change(principal, id, "job.paused", message("A pause was asked for"), {
      set: `status = case when worker is null then 'paused' else status end, wish = case when worker is null then null else 'pause' end`,
      where: "stage not in ('held', 'done') and status <> 'paused' and wish is null",
      params: [],
    });
  }

  /** Takes back a pause, or goes on after one. @throws {ServiceError} `invalid_job_state` where none was asked for */
  resume(principal: Principal, id: string): Promise<Job | undefined> {
    return this.#change(principal, id, "job.resumed", message("The job goes on"), {
      set: `status = case when status = 'paused' then ${waitingStatus} else status end, wish = null`,
      where: "status = 'paused' or wish = 'pause'",
      params: [],
    });
  }

  #change(
    principal: Principal,
    id: string,
    type: AuditType,
    event: JobEvent,
    change: { readonly set: string; readonly where: string; readonly params: readonly unknown[] },
  ): Promise<Job | undefined> {
    return this.context.db.transaction(async (sql) => {
      const [job] = await sql.query(
        `update jobs set ${change.set} where id = $1 and project_id = $2 and (${change.where}) returning ${JOB_COLUMNS}`,
        [id, principal.project ?? null, ...change.params],
        jobRow,
      );
      if (job === undefined) {
        const there = await find(sql, principal, id);
        if (there === undefined) return undefined;
        throw wrongState(there);
      }
      const now = this.context.now();
      await appendEvent(sql, id, event, now);
      await record(sql, now, principal, type, { id });
      return job;
    });
  }
}

async function find(sql: Sql, principal: Principal, id: string): Promise<Job | undefined> {
  const [job] = await sql.query(
    `select ${JOB_COLUMNS} from jobs where id = $1 and project_id = $2`,
    [id, principal.project ?? null],
    jobRow,
  );
  return job;
}

const wrongState = (job: Job): ServiceError =>
  new ServiceError("invalid_job_state", "the job is in no state for this", {
    found: job.wish === "pause" ? `${job.status}, about to pause` : `${job.status} (${job.stage})`,
    where: job.id,
  });
