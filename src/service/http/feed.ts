import type { Principal } from "../domain/principal.ts";
import type { JobRecords, StoredEvent } from "../store/job-records.ts";
import { Rounds } from "./rounds.ts";

/** Events that one look takes of each project: what is left comes with the next. */
export const PER_LOOK = 500;

interface Listener {
  readonly principal: Principal;
  /** Of each job, the number of the last event that was handed over. */
  readonly seen: Record<string, number>;
  readonly hear: (events: readonly StoredEvent[]) => void;
}

/** Brings new events of the jobs that streams name to all of them. */
export class Feed {
  readonly #rounds: Rounds<Listener>;

  constructor(
    private readonly records: Pick<JobRecords, "eventsSince">,
    everyMs: number,
    onError: (error: unknown) => void,
  ) {
    this.#rounds = new Rounds((listeners) => this.#tell(listeners), everyMs, onError);
  }

  /**
   * Events behind `seen` (changed as they are handed over), in order within each job.
   *
   * @returns ends the listening
   */
  listen(principal: Principal, seen: Record<string, number>, hear: Listener["hear"]): () => void {
    return this.#rounds.listen({ principal, seen, hear });
  }

  async #tell(listeners: readonly Listener[]): Promise<void> {
    const after: Record<string, number> = {};
    for (const { seen } of listeners) {
      for (const [job, seq] of Object.entries(seen)) after[job] = Math.min(after[job] ?? seq, seq);
    }
    const events = await this.records.eventsSince(listeners[0]!.principal, after, PER_LOOK);
    for (const { seen, hear } of listeners) {
      const news = events.filter(({ job, seq }) => seq > (seen[job] ?? Number.POSITIVE_INFINITY));
      for (const { job, seq } of news) seen[job] = seq;
      if (news.length > 0) hear(news);
    }
  }
}
