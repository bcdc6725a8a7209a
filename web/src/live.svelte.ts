import { SvelteMap } from "svelte/reactivity";
import type { stateReply } from "../../src/service/http/wire/job.ts";
import { connection } from "./api/connection.svelte.ts";
import { session } from "./api/session.svelte.ts";
import type { JobEvent } from "./api/types.ts";

/** Where a job is now. */
export type JobChange = ReturnType<typeof stateReply>;
/** The next event of a job; `seq` counts from 1 without gaps. */
export type LiveEvent = JobEvent & { readonly job: string; readonly seq: number };

/** What the tab that holds the line passes on to the others. */
type Passed =
  | { readonly kind: "job"; readonly data: JobChange }
  | { readonly kind: "event"; readonly data: LiveEvent }
  /** The line was cut for so long that nobody knows what was missed. */
  | { readonly kind: "again" }
  | { readonly kind: "line"; readonly open: boolean };
interface Envelope {
  readonly passed: Passed;
  /** How far the line is: whoever holds it next goes on there. */
  readonly cursor: string;
}

const EVENTS = ["message", "metrics", "moderation_checks"];
const AGAIN_MS = 2000;

/**
 * What happens on the server, as it happens, over one connection for all tabs of this browser: they agree on one that holds it and passes on
 * what it hears. When that one goes, the next goes on exactly where it was.
 */
class Live {
  /** Of each job that was heard of, the newest state. */
  readonly jobs = new SvelteMap<string, JobChange>();
  /** Whether news come by themselves. */
  open = $state(false);
  readonly #heardJob = new Set<(change: JobChange) => void>();
  readonly #heardEvent = new Set<(event: LiveEvent) => void>();
  readonly #heardAgain = new Set<() => void>();
  #cursor = "";

  constructor() {
    $effect.root(() => {
      // Tabs of different people do not hear each other.
      const line = $derived(
        session.state === "in" ? `booster ${session.who?.owner} ${JSON.stringify(session.who?.project)}` : undefined,
      );
      $effect(() => {
        if (line !== undefined) return this.#join(line);
      });
    });
    // A page that the browser had put aside has missed what was passed on meanwhile.
    addEventListener("pageshow", ({ persisted }) => {
      if (persisted) this.#take({ kind: "again" });
    });
  }

  /** @returns ends it */
  onJob(heard: (change: JobChange) => void): () => void {
    this.#heardJob.add(heard);
    return () => void this.#heardJob.delete(heard);
  }

  /** @returns ends it */
  onEvent(heard: (event: LiveEvent) => void): () => void {
    this.#heardEvent.add(heard);
    return () => void this.#heardEvent.delete(heard);
  }

  /** Called when what a page shows may have changed without its having heard of it. @returns ends it */
  onAgain(heard: () => void): () => void {
    this.#heardAgain.add(heard);
    return () => void this.#heardAgain.delete(heard);
  }

  #join(line: string): () => void {
    const channel = new BroadcastChannel(line);
    const over = new AbortController();
    channel.onmessage = ({ data }: MessageEvent<Envelope>) => {
      this.#cursor = data.cursor;
      this.#take(data.passed);
    };
    const pass = (passed: Passed) => {
      channel.postMessage({ passed, cursor: this.#cursor } satisfies Envelope);
      this.#take(passed);
    };
    navigator.locks
      .request(line, { signal: over.signal }, () => this.#hold(pass, over.signal))
      .catch((error: unknown) => {
        if (!over.signal.aborted) throw error;
      });
    return () => {
      over.abort();
      channel.close();
      this.jobs.clear();
      this.open = false;
      this.#cursor = "";
    };
  }

  /** Holds the line until this tab is signed out or closed. */
  async #hold(pass: (passed: Passed) => void, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await this.#listen(pass, over);
      if (over.aborted) return;
      pass({ kind: "line", open: false });
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      // Where the session has ended, this says so and ends the line.
      await session.ask().catch(() => connection.lost());
    }
  }

  /** One connection, until the browser gives it up: it repeats those that were cut by itself. */
  #listen(pass: (passed: Passed) => void, over: AbortSignal): Promise<void> {
    const from = this.#cursor;
    const source = new EventSource(`/v1/booster/stream${from === "" ? "" : `?after=${encodeURIComponent(from)}`}`);
    return new Promise((resolve) => {
      const end = () => {
        source.close();
        resolve();
      };
      over.addEventListener("abort", end, { once: true });
      source.onerror = () => {
        pass({ kind: "line", open: false });
        if (source.readyState !== EventSource.CLOSED) return;
        // A place that the server does not know is given up: pages read anew what they show.
        if (from !== "" && this.#cursor === from) {
          this.#cursor = "";
          pass({ kind: "again" });
        }
        end();
      };
      const on = (name: string, take: (data: never) => Passed) =>
        source.addEventListener(name, ({ data, lastEventId }: MessageEvent<string>) => {
          this.#cursor = lastEventId;
          pass(take(JSON.parse(data) as never));
        });
      on("open-line", () => ({ kind: "line", open: true }));
      on("job", (data) => ({ kind: "job", data }));
      for (const name of EVENTS) on(name, (data) => ({ kind: "event", data }));
    });
  }

  #take(passed: Passed): void {
    if (passed.kind === "line") {
      this.open = passed.open;
    } else if (passed.kind === "job") {
      this.open = true;
      this.jobs.set(passed.data.id, passed.data);
      for (const heard of this.#heardJob) heard(passed.data);
    } else if (passed.kind === "event") {
      for (const heard of this.#heardEvent) heard(passed.data);
    } else for (const heard of this.#heardAgain) heard();
  }
}

export const live = new Live();
