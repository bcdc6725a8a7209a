import { z } from "zod";
import type { Context } from "./context.ts";
import { appendEvent, message } from "./job-rows.ts";
import { MAX_CRASHES } from "./publish.ts";
import { Silence } from "./silence.ts";

const leaseRow = z.object({ id: z.string(), epoch: z.number(), beat: z.number() });

/**
 * Takes jobs from workers that have fallen silent. It compares what it saw with its own clock, which only moves forward: no clock of two
 * machines, and no time of day, decides anything. A server that has just started, or was without its database, sees a whole lease go by before it takes a job.
 */
export class Reaper {
  readonly #silence: Silence;

  /** Takes what `Silence` does. */
  constructor(
    private readonly context: Context,
    ...by: ConstructorParameters<typeof Silence>
  ) {
    this.#silence = new Silence(...by);
  }

  /** Looks once; called every few seconds. Ids of the jobs that it took. */
  async look(): Promise<string[]> {
    const held = await this.context.db.query("select id, epoch, beat from jobs where worker is not null", [], leaseRow);
    const silent = this.#silence.look(new Map(held.map(({ id, epoch, beat }) => [id, `${epoch} ${beat}`])));
    const reaped: string[] = [];
    for (const job of held) if (silent.has(job.id) && (await this.#reap(job))) reaped.push(job.id);
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
      const gone = taken.status === "failed";
      const text = gone ? `The job failed: ${error.message}` : "Its worker was lost; the job waits for another one";
      await appendEvent(sql, job.id, message(text, gone ? "error" : "warn"), now);
      return true;
    });
  }
}
