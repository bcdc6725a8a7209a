/** Least time between two announcements: a screen reader must be able to finish a sentence. */
const APART_MS = 5000;

class Announcer {
  text = $state("");
  #next: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Tells screen readers; of several within five seconds only the last. */
  say(text: string): void {
    if (this.#timer !== undefined) {
      this.#next = text;
      return;
    }
    this.text = text;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const next = this.#next;
      this.#next = undefined;
      if (next !== undefined) this.say(next);
    }, APART_MS);
  }
}

export const announcer = new Announcer();
