import type { Principal } from "../domain/principal.ts";
import type { JobRecords, StoredEvent } from "../store/job-records.ts";

/** Events that one look takes of each project: what is left comes with the next. */
const PER_LOOK = 500;

interface Listener {
  readonly principal: Principal;
  /** Of each job, the number of the last event that was handed over. */
  readonly seen: Record<string, number>;
  readonly hear: (events: readonly StoredEvent[]) => void;
}

/** Brings new events to all open streams, by one look for all streams of a project. Nothing is asked while nobody listens. */
export class Feed {
  readonly #listeners = new Set<Listener>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly records: Pick<JobRecords, "eventsSince">,
    private readonly everyMs: number,
    private readonly onError: (error: unknown) => void,
  ) {}

  /**
   * Events behind `seen` (changed as they are handed over), in order within each job.
   *
   * @returns ends the listening
   */
  listen(principal: Principal, seen: Record<string, number>, hear: Listener["hear"]): () => void {
    const listener = { principal, seen, hear };
    this.#listeners.add(listener);
    this.#timer ??= setTimeout(() => this.#look(), 0);
    return () => void this.#listeners.delete(listener);
  }

  async #look(): Promise<void> {
    try {
      const byProject = new Map<string | undefined, Listener[]>();
      for (const listener of this.#listeners) {
        const { project } = listener.principal;
        byProject.set(project, [...(byProject.get(project) ?? []), listener]);
      }
      for (const listeners of byProject.values()) await this.#tell(listeners);
    } catch (error) {
      this.onError(error);
    }
    this.#timer = this.#listeners.size === 0 ? undefined : setTimeout(() => this.#look(), this.everyMs);
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
