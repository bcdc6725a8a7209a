import type { Job } from "../domain/job.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Sql } from "./database.ts";
import { JOB_COLUMNS, jobRow } from "./job-rows.ts";

/** That a job, `$1`, is still held under the epoch `$2`: a worker that was taken for dead has an older one, and changes nothing. */
export const HELD = "id = $1 and epoch = $2 and worker is not null";

/** The job, locked until the transaction ends. @throws {ServiceError} `lease_lost` */
export async function lockLease(sql: Sql, job: string, epoch: number): Promise<Job> {
  const [held] = await sql.query(`select ${JOB_COLUMNS} from jobs where ${HELD} for update`, [job, epoch], jobRow);
  if (held === undefined) throw leaseLost(job);
  return held;
}

export const leaseLost = (job: string): ServiceError =>
  new ServiceError("lease_lost", "the job is not this worker's any more: nothing was written", { where: job });
