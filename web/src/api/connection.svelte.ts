/** Milliseconds between tries to reach the server again: the first, and the longest. */
const FIRST_MS = 1000;
const LONGEST_MS = 15_000;

class Connection {
  /** Since when the server has not answered. */
  lostAt: number | undefined = $state();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #back = new Set<() => void>();

  constructor() {
    addEventListener("online", () => void this.#look(FIRST_MS));
  }

  lost(): void {
    if (this.lostAt !== undefined) return;
    this.lostAt = Date.now();
    this.#later(FIRST_MS);
  }

  found(): void {
    if (this.lostAt === undefined) return;
    this.lostAt = undefined;
    clearTimeout(this.#timer);
    for (const heard of this.#back) heard();
  }

  /** Called when the server answers again. @returns ends it */
  onBack(heard: () => void): () => void {
    this.#back.add(heard);
    return () => void this.#back.delete(heard);
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(ms), ms);
  }

  async #look(ms: number): Promise<void> {
    if (this.lostAt === undefined) return;
    try {
      if ((await fetch("/healthz", { cache: "no-store" })).ok) return this.found();
    } catch {
      // Not yet.
    }
    this.#later(Math.min(ms * 2, LONGEST_MS));
  }
}

/** Whether the server answers; where it does not, it is asked until it does. */
export const connection = new Connection();
