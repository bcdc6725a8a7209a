import { connection } from "./connection.svelte.ts";
import { Problem } from "./problem.ts";

/** Something that the server has, as a page shows it: data, how old they are, what went wrong last. */
export class Resource<T> {
  data: T | undefined = $state.raw();
  problem: Problem | undefined = $state.raw();
  /** When `data` came. */
  at: number | undefined = $state();
  loading = $state(false);
  readonly #load: (signal: AbortSignal) => Promise<T>;
  #running: AbortController | undefined;

  constructor(load: (signal: AbortSignal) => Promise<T>) {
    this.#load = load;
  }

  /** Asks the server; what was asked before and is still on its way no longer counts. */
  async reload(): Promise<void> {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.loading = true;
    try {
      const data = await this.#load(running.signal);
      if (running.signal.aborted) return;
      this.set(data);
    } catch (error) {
      if (running.signal.aborted) return;
      this.problem = asProblem(error);
    }
    this.loading = false;
  }

  /** Takes over what came by another way. */
  set(data: T): void {
    this.data = data;
    this.problem = undefined;
    this.at = Date.now();
  }

  stop(): void {
    this.#running?.abort();
  }
}

export const asProblem = (error: unknown): Problem =>
  error instanceof Problem ? error : new Problem(String(error), -1, "page_failed");

/**
 * A resource of the component that calls this: loaded at once, whenever what `load` reads before its first `await` changes, and when the
 * server is back; and every `seconds()`, while the page is looked at.
 */
export function resource<T>(
  load: (signal: AbortSignal) => Promise<T>,
  seconds: (data: T | undefined) => number | undefined = () => undefined,
): Resource<T> {
  const found = new Resource<T>(load);
  $effect(() => {
    void found.reload();
    return () => found.stop();
  });
  $effect(() => connection.onBack(() => void found.reload()));
  $effect(() => {
    const every = seconds(found.data);
    if (every === undefined || found.at === undefined) return;
    const timer = setInterval(() => {
      if (!document.hidden && !found.loading) void found.reload();
    }, every * 1000);
    return () => clearInterval(timer);
  });
  return found;
}
