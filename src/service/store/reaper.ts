import { z } from "zod";
import type { Context } from "./context.ts";
import { appendEvent, message } from "./job-rows.ts";
import { MAX_CRASHES } from "./publish.ts";

const leaseRow = z.object({ id: z.string(), epoch: z.number(), beat: z.number() });

/** Seconds for which a worker may be silent. */
export const LEASE_SECONDS = 30;

/**
 * Takes jobs from workers that have fallen silent. It compares what it saw with its own clock, which only moves forward: no clock of two
 * machines, and no time of day, decides anything. A server that has just started sees a whole lease go by before it takes the first job.
 */
export class Reaper {
  readonly #seen = new Map<string, { readonly epoch: number; readonly beat: number; readonly since: number }>();

  constructor(
    private readonly context: Context,
    /** Seconds, from anywhere, never back. */
    private readonly monotonic: () => number = () => performance.now() / 1000,
    private readonly lease = LEASE_SECONDS,
  ) {}

  /** Looks once; called every few seconds. Ids of the jobs that it took. */
  async look(): Promise<string[]> {
    const held = await this.context.db.query("select id, epoch, beat from jobs where worker is not null", [], leaseRow);
    const now = this.monotonic();
    for (const id of this.#seen.keys()) if (!held.some((job) => job.id === id)) this.#seen.delete(id);
    const reaped: string[] = [];
    for (const job of held) {
      const seen = this.#seen.get(job.id);
      if (seen?.epoch !== job.epoch || seen.beat !== job.beat) this.#seen.set(job.id, { ...job, since: now });
      else if (now - seen.since >= this.lease && (await this.#reap(job))) reaped.push(job.id);
    }
    return reaped;
  }

  #reap(job: z.infer<typeof leaseRow>): Promise<boolean> {
    const error = { code: "worker_crashed", message: `Its worker was lost ${MAX_CRASHES} times`, param: null };
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const [taken] = await sql.query(
        `update jobs set worker = null, epoch = epoch + 1, crashes = crashes + 1, wish = null, estimated_finish = null,
           status = case when crashes + 1 >= $4 then 'failed' when wish = 'pause' then 'paused'
             when stage in ('validate', 'moderate') then 'validating_files' else 'queued' end,
           stage = case when crashes + 1 >= $4 then 'done' else stage end,
           error = case when crashes + 1 >= $4 then $5::jsonb else error end,
           finished_at = case when crashes + 1 >= $4 then $6::bigint end
         where id = $1 and epoch = $2 and beat = $3 and worker is not null returning status`,
        [job.id, job.epoch, job.beat, MAX_CRASHES, JSON.stringify(error), now],
        z.object({ status: z.string() }),
      );
      if (taken === undefined) return false;
      this.#seen.delete(job.id);
      const gone = taken.status === "failed";
      const text = gone ? `The job failed: ${error.message}` : "Its worker was lost; the job waits for another one";
      await appendEvent(sql, job.id, message(text, gone ? "error" : "warn"), now);
      return true;
    });
  }
}
