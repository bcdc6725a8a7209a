import type { Principal } from "../domain/principal.ts";
import type { JobRecords, JobState, StoredEvent } from "../store/job-records.ts";
import { PER_LOOK } from "./feed.ts";
import { Rounds } from "./rounds.ts";

/** Something that happened: where a job is now, or the next event of a job; and what the reader has with it. */
export type News = { readonly cursor: string } & ({ readonly state: JobState } | { readonly event: StoredEvent });

/** The newest job that a reader knows, and how far it is with each job that was open then. A job that is over does not come back. */
export interface Cursor {
  readonly newest: { readonly id: string; readonly seq: number } | undefined;
  readonly seen: Readonly<Record<string, number>>;
}

interface Reader {
  readonly principal: Principal;
  newest: Cursor["newest"];
  readonly seen: Map<string, number>;
  /** Of each open job, the state that was told last. */
  readonly told: Map<string, string>;
  readonly hear: (news: readonly News[]) => void;
}

/**
 * All that happens to the jobs of a project, for as many pages as look at it. Events come without gap from where the reader was; a state is
 * told when it has changed, and at the beginning.
 */
export class ProjectFeed {
  readonly #rounds: Rounds<Reader>;

  constructor(
    private readonly records: Pick<JobRecords, "states" | "eventsSince">,
    everyMs: number,
    onError: (error: unknown) => void,
  ) {
    this.#rounds = new Rounds((readers) => this.#tell(readers), everyMs, onError);
  }

  /** @returns ends the listening */
  listen(principal: Principal, from: Cursor, hear: Reader["hear"]): () => void {
    const { newest, seen } = from;
    return this.#rounds.listen({
      principal,
      newest,
      seen: new Map(Object.entries(seen)),
      told: new Map(),
      hear,
    });
  }

  async #tell(readers: readonly Reader[]): Promise<void> {
    const { principal } = readers[0]!;
    const states = await this.records.states(principal, {
      after: Math.min(...readers.map(({ newest }) => newest?.seq ?? 0)),
      known: [...new Set(readers.flatMap(({ seen }) => [...seen.keys()]))],
    });
    const news = readers.map((reader) => tellStates(reader, states));
    const behind: Record<string, number> = {};
    for (const { seen } of readers) {
      for (const { id, lastEvent } of states) {
        const seq = seen.get(id);
        if (seq !== undefined && seq < lastEvent) behind[id] = Math.min(behind[id] ?? seq, seq);
      }
    }
    const events = Object.keys(behind).length === 0 ? [] : await this.records.eventsSince(principal, behind, PER_LOOK);
    for (const [i, reader] of readers.entries()) {
      const mine = [...news[i]!, ...tellEvents(reader, events)];
      for (const { id, stage, lastEvent } of states) {
        if (stage !== "done" || (reader.seen.get(id) ?? -1) < lastEvent) continue;
        reader.seen.delete(id);
        reader.told.delete(id);
      }
      if (mine.length > 0) reader.hear(mine);
    }
  }
}

/** What of the states is news for a reader, who knows the jobs from then on. */
function tellStates(reader: Reader, states: readonly JobState[]): News[] {
  const { seen, told } = reader;
  // Who has no project hears of held jobs, and of no job's events.
  const isReviewer = reader.principal.project === undefined;
  const news: News[] = [];
  for (const state of states) {
    const { id, seq, lastEvent } = state;
    const isNew = !isReviewer && seq > (reader.newest?.seq ?? 0);
    if (!seen.has(id)) {
      if (state.stage === "done" && !isNew) continue;
      seen.set(id, isReviewer ? Number.MAX_SAFE_INTEGER : isNew ? 0 : lastEvent);
    }
    if (isNew) reader.newest = { id, seq };
    const now = JSON.stringify({ ...state, lastEvent: 0 });
    if (told.get(id) === now) continue;
    told.set(id, now);
    news.push({ cursor: cursorText(reader), state });
  }
  return news;
}

function tellEvents(reader: Reader, events: readonly StoredEvent[]): News[] {
  const news: News[] = [];
  for (const event of events) {
    if (event.seq <= (reader.seen.get(event.job) ?? Number.MAX_SAFE_INTEGER)) continue;
    reader.seen.set(event.job, event.seq);
    news.push({ cursor: cursorText(reader), event });
  }
  return news;
}

/** As `Last-Event-ID` brings it back: `ftjob-newest,ftjob-a:17,ftjob-b:4`. */
export function cursorText({ newest, seen }: Pick<Reader, "newest" | "seen">): string {
  return [newest?.id ?? "", ...[...seen].map(([job, seq]) => `${job}:${seq}`)].join();
}
