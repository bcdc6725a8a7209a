import { z } from "zod";
import { newId } from "../domain/ids.ts";
import type { Job, JobError } from "../domain/job.ts";
import { type Principal, SERVER } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { record } from "./audit.ts";
import type { Bases } from "./bases.ts";
import { type Context, type Page, type PageAsk, page } from "./context.ts";
import type { Sql } from "./database.ts";
import { appendEvent, JOB_COLUMNS, jobRow, message } from "./job-rows.ts";
import { goesOnFromWithdrawn, release, WITHDRAWN } from "./publish.ts";

const DAY = 86_400;

const reportRow = z
  .object({
    job_id: z.string(),
    body: z.string(),
    sha256: z.string(),
    signature: z.string(),
    signed_by: z.string(),
    verdict: z.enum(["released", "held", "rejected"]),
    adapter: z.record(z.string(), z.string()),
    created_at: z.number(),
  })
  .transform((row) => ({
    job: row.job_id,
    /** Canonical JSON: what the hash and the signature are about. */
    body: row.body,
    sha256: row.sha256,
    signature: row.signature,
    signedBy: row.signed_by,
    verdict: row.verdict,
    adapter: row.adapter,
    createdAt: row.created_at,
  }));
export type StoredReport = Readonly<z.infer<typeof reportRow>>;
const REPORT = "job_id, body, sha256, signature, signed_by, verdict, adapter, created_at";

const decisionRow = z
  .object({
    id: z.string(),
    job_id: z.string(),
    owner: z.string(),
    verdict: z.enum(["released", "rejected"]),
    reason: z.string(),
    report_sha256: z.string(),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    job: row.job_id,
    owner: row.owner,
    verdict: row.verdict,
    reason: row.reason,
    reportSha256: row.report_sha256,
    createdAt: row.created_at,
  }));
export type Decision = Readonly<z.infer<typeof decisionRow>>;

/** What the policy of a job says about those that are held. */
const onHold = z.object({
  onHold: z.object({ days: z.number().default(14), reviewers: z.number().default(1) }).prefault({}),
});

/** For reviewers: of one project, or of all where the key belongs to none. */
const SEEN = "($1::text is null or project_id = $1)";

/** Held jobs, their reports, and what reviewers decide. */
export class Reviews {
  constructor(
    private readonly context: Context,
    private readonly bases: Bases,
  ) {}

  /** Held jobs that the reviewer may see. */
  held(principal: Principal, ask: PageAsk): Promise<Page<Job>> {
    return page(
      this.context.db,
      {
        table: "jobs",
        columns: JOB_COLUMNS,
        scope: SEEN,
        filter: "stage = 'held'",
        params: [principal.project ?? null],
        row: jobRow,
      },
      ask,
    );
  }

  /** A job that has a report, for reviewers. */
  async job(principal: Principal, id: string): Promise<Job | undefined> {
    const [job] = await this.context.db.query(
      `select ${JOB_COLUMNS} from jobs where ${SEEN} and id = $2 and exists (select 1 from reports where job_id = jobs.id)`,
      [principal.project ?? null, id],
      jobRow,
    );
    return job;
  }

  /** The report of a job of the principal's project; `anywhere`: of any that a reviewer sees. */
  async report(principal: Principal, job: string, anywhere = false): Promise<StoredReport | undefined> {
    const seen = anywhere ? SEEN : "project_id = $1";
    const [report] = await this.context.db.query(
      `select ${REPORT} from reports where job_id = $2 and exists (select 1 from jobs where id = $2 and ${seen})`,
      [principal.project ?? null, job],
      reportRow,
    );
    return report;
  }

  /** What was decided about a job, oldest first. Whoever calls has looked up the job. */
  decisions(job: string): Promise<Decision[]> {
    return this.context.db.query(
      "select id, job_id, owner, verdict, reason, report_sha256, created_at from decisions where job_id = $1 order by seq",
      [job],
      decisionRow,
    );
  }

  /**
   * A reviewer's word on the report that was read. Where the policy asks for two, the first release waits for the second. Nothing: there is no such job.
   *
   * @throws {ServiceError} `invalid_job_state` where it is not held any more, `invalid_value`, `policy_violation`
   */
  decide(
    principal: Principal,
    id: string,
    decision: { readonly verdict: "released" | "rejected"; readonly reason: string; readonly report: string },
  ): Promise<Job | undefined> {
    return this.context.db.transaction(async (sql) => {
      const [job] = await sql.query(
        `select ${JOB_COLUMNS} from jobs where ${SEEN} and id = $2 for update`,
        [principal.project ?? null, id],
        jobRow,
      );
      if (job === undefined) return undefined;
      if (job.stage !== "held") {
        throw new ServiceError("invalid_job_state", "the job is not held for a reviewer", {
          found: `${job.status} (${job.stage})`,
        });
      }
      const { reviewers } = onHold.parse(job.spec.policy.body).onHold;
      if (reviewers > 1 && principal.project === job.project)
        throw refused("nobody decides on a job of their own project");
      const [report] = await sql.query(`select ${REPORT} from reports where job_id = $1`, [id], reportRow);
      if (report === undefined || report.sha256 !== decision.report) {
        throw new ServiceError("invalid_value", "the decision is about another report", {
          expected: report?.sha256 ?? "a report",
          found: decision.report,
          param: "report_sha256",
        });
      }
      if (decision.verdict === "released" && (await goesOnFromWithdrawn(sql, job))) throw refused(WITHDRAWN);
      const now = this.context.now();
      const added = await sql.query(
        `insert into decisions (id, job_id, key_id, owner, verdict, reason, report_sha256, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (job_id, owner) do nothing returning id`,
        [newId("decision"), id, principal.key, principal.owner, decision.verdict, decision.reason, report.sha256, now],
      );
      if (added.length === 0) throw refused("this reviewer has decided already: a second one is needed");
      const agreed = (await sql.query("select id from decisions where job_id = $1 and verdict = 'released'", [id]))
        .length;
      if (decision.verdict === "rejected") await fail(sql, job, rejected(decision.reason), now);
      else if (agreed >= reviewers) await this.#release(sql, job, report.adapter, now);
      else await appendEvent(sql, id, message(`Released by ${agreed} of ${reviewers} reviewers`), now);
      await record(
        sql,
        now,
        principal,
        "job.decided",
        { id, verdict: decision.verdict, report: report.sha256 },
        job.project,
      );
      return (await sql.query(`select ${JOB_COLUMNS} from jobs where id = $1`, [id], jobRow))[0];
    });
  }

  async #release(sql: Sql, job: Job, adapter: Readonly<Record<string, string>>, now: number): Promise<void> {
    await sql.query(
      "update jobs set status = 'succeeded', stage = 'done', epoch = epoch + 1, fine_tuned_model = publish_as, finished_at = $2 where id = $1",
      [job.id, now],
    );
    await release(sql, this.bases, job, adapter, now);
  }

  /** Fails the held jobs that nobody decided on in time. How many. */
  async expire(): Promise<number> {
    const held = await this.context.db.query(
      `select ${JOB_COLUMNS} from jobs where stage = 'held' order by seq`,
      [],
      jobRow,
    );
    const over = held.filter(
      (job) => (job.heldAt ?? 0) + onHold.parse(job.spec.policy.body).onHold.days * DAY <= this.context.now(),
    );
    let expired = 0;
    for (const job of over) {
      await this.context.db.transaction(async (sql) => {
        const still = await sql.query("select id from jobs where id = $1 and stage = 'held' for update", [job.id]);
        if (still.length === 0) return;
        const now = this.context.now();
        await fail(sql, job, { code: "hold_expired", message: "No reviewer decided in time", param: null }, now);
        await record(
          sql,
          now,
          SERVER,
          "job.decided",
          { id: job.id, verdict: "rejected", reason: "hold_expired" },
          job.project,
        );
        expired++;
      });
    }
    return expired;
  }
}

async function fail(sql: Sql, job: Job, error: JobError, now: number): Promise<void> {
  await sql.query(
    "update jobs set status = 'failed', stage = 'done', epoch = epoch + 1, error = $2::jsonb, finished_at = $3 where id = $1",
    [job.id, JSON.stringify(error), now],
  );
  await appendEvent(sql, job.id, message(`The job failed: ${error.message}`, "error"), now);
}

const rejected = (reason: string): JobError => ({
  code: "safety_rejected",
  message: `A reviewer rejected the model: ${reason}`,
  param: null,
});

const refused = (problem: string): ServiceError => new ServiceError("policy_violation", problem);
